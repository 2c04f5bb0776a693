import { applyPatch } from 'rfc6902';
import { describe, expect, it } from 'vitest';
import { differing, difference } from '../../src/changes/diff.ts';
import { OTHER_SECRET, redact, SECRET } from '../../src/changes/redact.ts';
import type { Json } from '../../src/documents/canonical.ts';
import type { DocumentBody } from '../../src/documents/document.ts';
import { prng } from '../../src/fleet/prng.ts';

const names = { before: 'hv1 1-a', after: 'hv1 2-b' };

describe('the difference of two documents', () => {
  it('gives what RFC 6902 applies, whatever comes and goes', () => {
    const { int: pick } = prng(7);
    const value = (depth: number): Json => {
      const kind = depth > 3 ? pick(3) : pick(5);
      if (kind === 0) return pick(4);
      if (kind === 1) return ['a', 'b/c', 'd~e', ''][pick(4)]!;
      if (kind === 2) return [true, null][pick(2)]!;
      if (kind === 3) return Array.from({ length: pick(9) }, () => value(depth + 1));
      return Object.fromEntries(Array.from({ length: pick(6) }, () => [['a', 'b', 'c/d', 'e~f', '-'][pick(5)]!, value(depth + 1)]));
    };
    for (let i = 0; i < 2000; i++) {
      const [before, after] = [
        { a: value(0), b: value(0) },
        { a: value(0), b: value(0) },
      ];
      const made = structuredClone(before);
      const failed = applyPatch(made, structuredClone(difference(before, after, names).patch) as never).filter((one) => one !== null);
      expect(failed).toEqual([]);
      expect(made).toEqual(after);
    }
  });

  it('looks only where they differ', () => {
    expect(differing({ a: { x: 1, y: 2 }, b: 3 }, { a: { x: 1, y: 4 }, b: 3 })).toEqual([{ a: { y: 2 } }, { a: { y: 4 } }]);
    expect(differing({ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] })).toBeUndefined();
  });

  it('names the place of each hunk', () => {
    const xml = (vcpu: number): string => `<domain>\n  <name>vm-1</name>\n  <a/>\n  <b/>\n  <c/>\n  <vcpu>${vcpu}</vcpu>\n</domain>\n`;
    const body = (vcpu: number): DocumentBody => ({ node: 'hv1', hypervisor: { domains: { 'vm-1': { ensure: 'present', xml: xml(vcpu) } } } });
    expect(difference(body(1), body(2), names)).toEqual({
      patch: [{ op: 'replace', path: '/hypervisor/domains/vm-1/xml', value: xml(2) }],
      text: `--- hv1 1-a
+++ hv1 2-b
@@ -7,5 +7,5 @@ hypervisor.domains.vm-1.xml
           <a/>
           <b/>
           <c/>
-          <vcpu>1</vcpu>
+          <vcpu>2</vcpu>
         </domain>
`,
    });
  });

  it('shows a list of a thousand ports by what came', () => {
    const ports = Array.from({ length: 1000 }, (_, i) => ({ name: `p${i}`, mtu: 1500 }));
    const { patch } = difference({ ports }, { ports: [...ports.slice(0, 500), { name: 'new', mtu: 1400 }, ...ports.slice(500)] }, names);
    expect(patch).toEqual([{ op: 'add', path: '/ports/500', value: { name: 'new', mtu: 1400 } }]);
  });

  it('says nothing of what is the same', () => {
    expect(difference({ a: 1 }, { a: 1 }, names)).toEqual({ patch: [], text: '' });
  });
});

describe('secrets', () => {
  const body = (secret: string): DocumentBody => ({
    hypervisor: { secrets: { u1: { ensure: 'present', value: secret, xml: '<secret/>' } } },
    ceph: {
      mon: { keys: { 'client.a': { ensure: 'present', secret, caps: {} } } },
      osd: { keys: { 'client.bootstrap-osd': { secret } } },
      client: { keys: { main: { 'client.a': { secret } } } },
    },
  });

  it('are in no difference, and that they changed is', () => {
    const made = difference(body('AQtheold'), body('AQthenew'), names);
    expect(JSON.stringify(made)).not.toMatch(/AQthe/);
    expect(made.patch).toHaveLength(4);
    expect(made.patch[0]).toMatchObject({ op: 'replace', value: OTHER_SECRET });
    expect(difference(body('AQtheold'), { ...body('AQtheold'), node: 'a' }, names).patch).toEqual([{ op: 'add', path: '/node', value: 'a' }]);
    expect(difference(null, body('AQthenew'), names).text).toContain(SECRET);
    expect(JSON.stringify(difference(null, body('AQthenew'), names))).not.toMatch(/AQthe/);
    expect(JSON.stringify(difference(body('AQtheold'), null, names))).not.toMatch(/AQthe/);
  });

  it('of layers are those that the layers call so, before or after', () => {
    const layers = (password: string, ...secret_keys: string[]): DocumentBody => ({ data: { 'ntp::servers': ['a'], 'db::password': password }, secret_keys });
    expect(difference(layers('hunter1', 'db::password'), layers('hunter2', 'db::password'), names).patch).toEqual([
      { op: 'replace', path: '/data/db::password', value: OTHER_SECRET },
    ]);
    expect(JSON.stringify(difference(layers('hunter1'), layers('hunter2', 'db::password'), names))).not.toMatch(/hunter/);
    expect(JSON.stringify(difference(layers('hunter1', 'db::password'), layers('hunter2'), names))).not.toMatch(/hunter/);
  });

  it('are taken out by their place: the body itself stays as it is', () => {
    const whole = body('AQtheold');
    expect(JSON.stringify(redact(whole))).not.toMatch(/AQthe/);
    expect(JSON.stringify(whole)).toMatch(/AQthe/);
    expect(redact({ node: 'a', ceph: { client: { keys: {} } } })).toEqual({ node: 'a', ceph: { client: { keys: {} } } });
  });
});
