/** A document for the tests of Salt, and what a host looks like that has it, or not. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultDocument, Mapping } from './faults.ts';
import type { Host } from './host.ts';
import type { StateResult } from './salt-rig.ts';

const FIXTURE = resolve(import.meta.dirname, '../../fixtures/documents/salt-node');
const UUID = '0b0c7c4e-6f3a-4d51-9a3e-0000000000';
export const SECRET_UUID = '5f1d6f0a-1111-4222-8333-000000000001';
/** Keys as ceph-authtool makes them: none may be seen in what a run says. */
export const KEYS = { libvirt: 'AQC8cABpAAAAABAAvQ8mZ0m7Yc1v6b8Z4l0sHg==', file: 'AQC8cABpAAAAABAAkL2nQx5o3Tt7f1u9R4e6Zw==' };

/** Text that a template, a YAML parser or a line reader would spoil. */
export const AWKWARD = 'q{{ salt["cmd.run"]("id") }} {% raw %} %{lookup} ${HOME} \'single\' "double" café \u{1F410} #!py | []: - <&>';

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** XML of the fixture's domain, pool or volume as one of another name and number. */
function xml(file: string, number: number, title: string): string {
  return readFileSync(resolve(FIXTURE, file), 'utf8')
    .replaceAll('vm 40', escaped(title))
    .replaceAll('-40', `-${number}`)
    .replaceAll("'40-0'", `'${number}-0'`)
    .replaceAll('00:28:', `00:${number.toString(16)}:`)
    .replaceAll(`id='40'`, `id='${number}'`)
    .replaceAll('000000000040', `0000000000${number}`)
    .replaceAll('20971520', '1048576')
    .replaceAll('21474836480', '1048576')
    .replaceAll('host-model', 'custom')
    .replace("mode='custom' check='partial'>", "mode='custom' match='exact' check='partial'>\n    <model fallback='forbid'>qemu64</model>");
}

function domain(number: number, title: string): Mapping {
  return { ensure: 'present', state: 'stopped', autostart: false, uuid: `${UUID}${number}`, xml: xml('domain.vm-40.xml', number, title) };
}

/** A hypervisor with two stopped domains, what they need, and a client of a Ceph cluster. */
export function nodeDocument(node: string, version = '41-9f2c0a1b2c3d4e5f', title = AWKWARD): FaultDocument {
  const bridge = { addresses: [], ensure: 'present', kind: 'vm', mtu: 1500, ports: [], routed: false, routes: [], vlan_filtering: false };
  const path = '/var/lib/corral/images';
  const volume = (number: number): Mapping => ({
    ensure: 'present',
    path: `${path}/vol-${number}`,
    pool: 'local',
    size: 1048576,
    type: 'qcow2',
    xml: xml('volume.vol-40.xml', number, ''),
  });
  const pool = { ensure: 'present', kind: 'dir', target: path, uuid: '1c3b1b32-a3bc-511b-9cd1-71f20d7c5f7a', xml: xml('pool.local.xml', 40, '') };
  const secret =
    `<secret ephemeral='no' private='yes'>\n  <uuid>${SECRET_UUID}</uuid>\n  <description>Ceph key client.libvirt of the cluster ceph</description>\n` +
    "  <usage type='ceph'>\n    <name>ceph client.libvirt</name>\n  </usage>\n</secret>\n";
  return {
    node,
    version,
    manager: 'salt',
    pillar: {
      corral: {
        document: version,
        node,
        site: 'fra1',
        roles: ['hypervisor'],
        interfaces: {},
        hypervisor: {
          domains: { 'vm-17': domain(17, title), 'vm-18': domain(18, 'second'), 'vm-19': { ensure: 'absent', uuid: `${UUID}19` } },
          volumes: { 'vol-17': volume(17), 'vol-18': volume(18) },
          pools: { local: pool },
          bridges: { 'br-17-0': bridge, 'br-18-0': bridge },
          secrets: {
            [SECRET_UUID]: { cluster: 'ceph', ensure: 'present', entity: 'client.libvirt', uuid: SECRET_UUID, value: KEYS.libvirt, xml: secret },
          },
        },
        ceph: {
          client: {
            clusters: {
              ceph: {
                name: 'ceph',
                fsid: 'a7f64266-0894-4f1e-a635-d0aeaca0e993',
                public_network: '10.0.0.0/24',
                peers: { mon1: { ensure: 'present', host: 'mon1.example.net', address: '10.0.0.21', port: 6789 } },
              },
            },
            keys: { ceph: { 'client.libvirt': { ensure: 'present', secret: KEYS.file } } },
          },
        },
      },
    },
    tops: { base: ['corral', 'corral.hypervisor'] },
  };
}

/** What a person would look at on the host, to see whether anything is another than it was. */
export async function stateOf(host: Host): Promise<string> {
  const { stdout } = await host.try('sh', [
    '-c',
    `for domain in $(virsh -q list --all --name | sort); do virsh -q domstate $domain; virsh -q dumpxml $domain; done
     for pool in $(virsh -q pool-list --all --name | sort); do virsh -q pool-dumpxml $pool | grep -v 'unit='; virsh -q vol-list $pool; done
     virsh -q secret-list
     ip -o link show type bridge | sed 's/^[0-9]*: //;s/link.ether.*//' | sort
     head -100 /etc/ceph/* /etc/corral/less.txt 2>/dev/null
     sed -n 's/.*"document"/document/p' /var/lib/corral/applied.json 2>/dev/null`,
  ]);
  return stdout;
}

/** Take away, by hand, some of each that a run would bring back. */
export async function damage(host: Host): Promise<void> {
  await host.try('sh', [
    '-c',
    'virsh -q undefine vm-17; virsh -q vol-delete vol-17 local; ip link del br-17-0; rm -f /etc/ceph/* /etc/corral/less.txt /var/lib/corral/applied.json',
  ]);
}

/** States that failed. */
export const failures = (states: StateResult[]) => states.filter(({ result }) => result === false);
/** Names of what changed. */
export const changed = (states: StateResult[]) =>
  states
    .filter(({ changes }) => Object.keys(changes).length > 0)
    .map(({ name }) => name)
    .toSorted();

/** Asks again until it is so. */
export async function until(so: () => boolean | Promise<boolean>, seconds = 30): Promise<void> {
  for (const end = Date.now() + seconds * 1000; ;) {
    // oxlint-disable-next-line no-await-in-loop -- one question after another
    if (await so()) return;
    if (Date.now() > end) throw new Error(`not so within ${seconds} s: ${so}`);
    // oxlint-disable-next-line no-await-in-loop
    await sleep(100);
  }
}
