/** Prints how long 20,000 domains take, here and with fast-xml-parser: `node test/documents/speed.ts`. */
import { XMLBuilder, XMLParser } from 'fast-xml-parser';
import { buildDocument } from '../../src/documents/document.ts';
import { domainXml } from '../../src/documents/libvirt/domain.ts';
import { aggregateOf } from './cases.ts';

const hypervisor = aggregateOf('qemu-hypervisor').hypervisor!;
const vm = hypervisor.vms[0]!;
const host = { local_path: hypervisor.local_path, pools: new Map(hypervisor.pools.map((pool) => [pool.name, pool])) };
const salt = aggregateOf('salt-node');

function time(what: string, times: number, work: (n: number) => number): void {
  for (let round = 1; round <= 3; round += 1) {
    const start = performance.now();
    let bytes = 0;
    for (let n = 1; n <= times; n += 1) bytes += work(n);
    console.log(`${what}, round ${round}: ${(performance.now() - start).toFixed(0)} ms, ${Math.round(bytes / times)} characters each`);
  }
}

const length = (id: number): number => {
  const made = domainXml({ ...vm, id }, host);
  return 'xml' in made ? made.xml.length : 0;
};
time('20,000 domains with 4 disks, 3 interfaces and every limit', 20_000, length);
const small = salt.hypervisor!.vms[0]!;
time('20,000 domains with one disk and one interface', 20_000, (id) => {
  const made = domainXml({ ...small, id }, host);
  return 'xml' in made ? made.xml.length : 0;
});
time('1,000 documents of 20 VMs, with hash', 1000, (n) => {
  const vms = Array.from({ length: 20 }, (_, at) => ({ ...small, id: n * 20 + at, interfaces: [{ ...small.interfaces[0]!, name: `${n * 20 + at}-0` }] }));
  return buildDocument({ ...salt, hypervisor: { ...salt.hypervisor!, vms } }).hash.length;
});
const made = domainXml(small, host);
const tree = new XMLParser({ ignoreAttributes: false, preserveOrder: true }).parse('xml' in made ? made.xml : '') as unknown;
const builder = new XMLBuilder({ ignoreAttributes: false, preserveOrder: true, format: true, suppressEmptyNode: true });
time('20,000 of the small ones with fast-xml-parser, tree given', 20_000, () => builder.build(tree).length);
