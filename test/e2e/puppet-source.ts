/** Where the real run gets its documents: Corral itself when it is built, else the fault server. */
import { existsSync } from 'node:fs';
import { createServer, request as startRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startFaultServer, type FaultDocument } from './faults.ts';
import { CERTNAME, exampleDocument, exampleDomains } from './puppet-table.ts';

export interface Source {
  name: string;
  url: string;
  token: string;
  caFile: string | undefined;
  /** A hypervisor that Puppet manages. */
  certname: string;
  document(): Promise<FaultDocument>;
  /** Make a domain that was present absent, and say which. */
  removeDomain(): Promise<string>;
  /** What Corral must not serve, and the ENC client's exit status for it. */
  refusals: { what: string; token: string; certname: string; exit: number; because: string }[];
  /** Every request that arrived, oldest first. */
  requests: { path: string; status: number }[];
  stop(): Promise<void>;
}

interface RunningCorral {
  url: string;
  adminToken: string;
  call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>;
  nodeToken(fqdn: string): Promise<string>;
  stop(): Promise<void>;
}

export async function openSource(): Promise<Source> {
  const built = resolve(import.meta.dirname, '../../dist/main.js');
  const starter = resolve(import.meta.dirname, 'corral.ts');
  return existsSync(built) && existsSync(starter) ? corralSource(starter) : faultSource();
}

async function faultSource(): Promise<Source> {
  const server = await startFaultServer({ documents: { [CERTNAME]: exampleDocument('41-9f2c0a1b2c3d4e5f') }, tls: true });
  return {
    name: 'the fault server in its good mode',
    url: server.url,
    token: server.token,
    caFile: server.caFile,
    certname: CERTNAME,
    document: () => Promise.resolve(server.documents[CERTNAME]!),
    removeDomain: () => {
      const { 'vm-17': kept } = exampleDomains('41-9f2c0a1b2c3d4e5f');
      server.documents[CERTNAME] = exampleDocument('42-00', { 'vm-17': kept!, 'vm-18': { ensure: 'absent' } });
      return Promise.resolve('vm-18');
    },
    refusals: [
      { what: 'a token that does not exist', token: 'nonsense', certname: CERTNAME, exit: 5, because: 'answered 401' },
      { what: 'a node that does not exist', token: server.token, certname: 'x.example.net', exit: 6, because: 'answered 404' },
    ],
    requests: server.requests,
    stop: () => server.close(),
  };
}

async function corralSource(starter: string): Promise<Source> {
  const { startCorral } = (await import(pathToFileURL(starter).href)) as { startCorral(): Promise<RunningCorral> };
  const corral = await startCorral();
  try {
    await makeFleet(corral);
    const token = await corral.nodeToken(CERTNAME);
    const others = { token: await corral.nodeToken(MONITOR), admin: corral.adminToken };
    await corral.call('PATCH', `/api/v1/nodes/${GONE}`, { state: 'deactivated' });
    const counter = await countRequests(corral.url);
    return {
      name: 'Corral',
      url: counter.url,
      token,
      caFile: undefined,
      certname: CERTNAME,
      document: async () => (await corral.call('GET', `/documents/${CERTNAME}`)) as unknown as FaultDocument,
      removeDomain: async () => {
        await corral.call('DELETE', '/api/v1/vms/2');
        return 'vm-2';
      },
      refusals: [
        { what: 'a token that does not exist', token: 'nonsense', certname: CERTNAME, exit: 5, because: 'answered 401' },
        { what: "another node's token", token: others.token, certname: CERTNAME, exit: 5, because: 'answered 403' },
        { what: 'a node that does not exist', token: others.admin, certname: 'hv9.example.net', exit: 6, because: 'answered 404' },
        { what: 'a node that is deactivated', token: others.admin, certname: GONE, exit: 6, because: 'answered 410' },
        { what: 'a node that Salt manages', token: others.admin, certname: SALTED, exit: 7, because: 'salt manages' },
      ],
      requests: counter.requests,
      stop: async () => {
        await counter.stop();
        await corral.stop();
      },
    };
  } catch (error) {
    await corral.stop();
    throw error;
  }
}

const MONITOR = 'mon1.example.net';
const GONE = 'hv2.example.net';
const SALTED = 'hv3.example.net';

/** A hypervisor with two virtual machines, one of them with a name that is hard to quote. */
async function makeFleet(corral: RunningCorral): Promise<void> {
  const make = (plural: string, body: object) => corral.call('POST', `/api/v1/${plural}`, body);
  const hypervisor = { methods: ['QEMU'], cores: 16, ram: 2 ** 36 };
  await make('sites', { name: 'fra1' });
  await make('ceph-clusters', { name: 'ceph', public_network: '10.0.0.0/24' });
  const ceph_mon = { ceph_cluster: 'ceph' };
  await make('nodes', { fqdn: CERTNAME, site: 'fra1', manager: 'puppet', roles: { hypervisor } });
  await make('nodes', { fqdn: MONITOR, site: 'fra1', manager: 'puppet', roles: { ceph_mon } });
  await make('storage-pools', { name: 'local', kind: 'dir', is_default: true });
  await make('pool-attachments', { hypervisor: CERTNAME, storage_pool: 'local' });
  await make('networks', { name: 'public', kind: 'routed', is_default: true });
  await make('subnets', { network: 'public', cidr: '203.0.113.0/24', gateway: '203.0.113.1' });
  await make('subnets', { network: 'public', cidr: '2001:db8::/64', gateway: '2001:db8::1' });
  // Not started: what they become is for other tests.
  const small = { cores: 1, ram: 2 ** 27, method: 'QEMU', state: 'stopped', cpu_mode: 'custom', cpu_model: 'qemu64' };
  await make('vms', { name: '%{x} %{facts.os} \'q\' "d" $y ${z} <b> \u{1F402}', ...small });
  await make('vms', { name: 'second', ...small });
  // After the virtual machines, which must not be placed here.
  await make('nodes', { fqdn: GONE, site: 'fra1', manager: 'puppet', roles: { hypervisor } });
  await make('nodes', { fqdn: SALTED, site: 'fra1', manager: 'salt', roles: { hypervisor } });
}

/** A proxy that does nothing but take notes. */
async function countRequests(to: string) {
  const requests: { path: string; status: number }[] = [];
  const server = createServer((incoming, outgoing) => {
    const note = { path: incoming.url ?? '', status: 0 };
    requests.push(note);
    const { method, headers } = incoming;
    const onward = startRequest(new URL(note.path, to), { method, headers }, (answer) => {
      note.status = answer.statusCode ?? 0;
      outgoing.writeHead(note.status, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
