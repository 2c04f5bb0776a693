import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createThing } from '../../src/db/write.ts';
import { Rights } from '../../src/db/rights.ts';
import { enrolStatement, tokenStatement } from '../../src/modules/control/enrolment.verbs.ts';
import { json, send, smallFleet, HV, type WireProblem } from '../http/samples.ts';
import { ADMIN, testCorral } from '../support/corral.ts';

const corral = await testCorral();
await smallFleet(corral);
const hypervisor = { roles: { hypervisor: { methods: ['KVM'], cores: 4, ram: 2 ** 34 } } };
const OTHER = 'mon0.example.com';

class Host {
  readonly fqdn: string;
  readonly key: KeyObject;
  readonly raw: string;
  readonly pem: string;
  #clock = Date.now();
  id = '';

  constructor(fqdn: string) {
    this.fqdn = fqdn;
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    this.key = privateKey;
    this.raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(12).toString('base64');
    this.pem = publicKey.export({ format: 'pem', type: 'spki' }).toString();
  }

  /** A later time each time. */
  now(): string {
    this.#clock = Math.max(Date.now(), this.#clock + 1);
    return new Date(this.#clock).toISOString();
  }

  sign(text: string): string {
    return sign(null, Buffer.from(text), this.key).toString('base64');
  }

  async enrol(token: string, more: Record<string, unknown> = {}): Promise<Response> {
    const time = (more['time'] as string | undefined) ?? this.now();
    const body = { token, fqdn: this.fqdn, public_key: this.raw, time, proof: this.sign(enrolStatement(this.fqdn, token, time)), ...more };
    const answer = await corral.request('/enrolments', { ...send('POST', body), token: null });
    if (answer.ok) this.id = String((await json(answer.clone()))['id']);
    return answer;
  }

  async token(more: { time?: string; proof?: string; id?: string } = {}): Promise<Response> {
    const { time = this.now(), id = this.id } = more;
    const proof = more.proof ?? this.sign(tokenStatement(id, time));
    return corral.request(`/enrolments/${id}/token`, { ...send('POST', { time, proof }), token: null });
  }
}

let made = 0;
const enrolmentToken = async (more: Record<string, unknown> = {}): Promise<string> =>
  String((await corral.make('enrolment_token', { name: `t-${made++}`, ...more }))['token']);
const verdict = (host: Host, word: 'approve' | 'reject', token = ADMIN): Promise<Response> =>
  corral.request(`/api/v1/enrolments/${host.id}/${word}`, { ...send('POST', {}), token });
const codeOf = async (answer: Response | Promise<Response>): Promise<string> => {
  const { status, code, state } = { ...(await json<Partial<WireProblem> & { state?: unknown }>((await answer).clone())), status: (await answer).status };
  return `${status} ${String(code ?? state ?? '')}`.trim();
};
const read = async (token: string, fqdn: string): Promise<number> => (await corral.request(`/enc/${fqdn}`, { token })).status;
let nodes = 0;
const newNode = async (): Promise<string> => {
  const fqdn = `hv${100 + nodes++}.example.com`;
  await corral.make('node', { fqdn, site: 'fra1', ...hypervisor });
  return fqdn;
};

describe('a host', () => {
  test('enrols, waits for an operator, and exchanges its key for tokens that end', async () => {
    const host = new Host(await newNode());
    const token = await enrolmentToken();
    expect(token).toMatch(/^corral_enrolment_/);
    const answer = await host.enrol(token);
    const row = await json(answer);
    expect([answer.status, row['state'], row['fqdn']]).toEqual([201, 'pending', host.fqdn]);
    const fingerprint = `SHA256:${createHash('sha256').update(Buffer.from(host.raw, 'base64')).digest('base64').replace(/=+$/, '')}`;
    expect(row['fingerprint']).toBe(fingerprint);
    expect(await codeOf(host.token())).toBe('200 pending');
    const approved = await json(verdict(host, 'approve'));
    expect([approved['state'], approved['node'], approved['decided_by'], approved['fingerprint']]).toEqual(['approved', host.fqdn, 'admin', fingerprint]);
    expect(JSON.stringify(approved)).not.toContain('public_key');
    const exchanged = await host.token();
    expect(exchanged.headers.get('cache-control')).toBe('no-store');
    const first = await json<{ token: string; expires_at: string; node: string }>(exchanged);
    expect(first.node).toBe(host.fqdn);
    expect(Math.round((Date.parse(first.expires_at) - Date.now()) / 3_600_000)).toBe(24);
    expect([await read(first.token, host.fqdn), await read(first.token, HV)]).toEqual([200, 403]);
    /* Renewed, the one before is good for a while. */
    const second = await json<{ token: string }>(host.token());
    const third = await json<{ token: string }>(host.token());
    expect([await read(first.token, host.fqdn), await read(second.token, host.fqdn), await read(third.token, host.fqdn)]).toEqual([401, 200, 200]);
    const { rows } = await corral.pool.query<{ n: number }>(
      `select count(*)::int as n from token where kind = 'node' and node_id = (select id from node where fqdn = $1)`,
      [host.fqdn],
    );
    expect(rows[0]!.n).toBe(1);
    await corral.pool.query(`update token set expires_at = now() - interval '1 s', old_until = now() where name like 'enrolment-%'`);
    expect(await read(third.token, host.fqdn)).toBe(401);
    expect(await read((await json<{ token: string }>(host.token())).token, host.fqdn)).toBe(200);
  });

  test('gives its key as 32 bytes or in PEM, and nothing else', async () => {
    const host = new Host(await newNode());
    const token = await enrolmentToken();
    const [ec, rsa] = [generateKeyPairSync('ec', { namedCurve: 'P-256' }), generateKeyPairSync('rsa', { modulusLength: 2048 })];
    const strange = [ec, rsa].map(({ publicKey }) => publicKey.export({ format: 'pem', type: 'spki' }).toString());
    const secret = host.key.export({ format: 'pem', type: 'pkcs8' }).toString();
    for (const public_key of ['', 'x', Buffer.alloc(31).toString('base64'), secret, ...strange])
      expect(await codeOf(host.enrol(token, { public_key }))).toBe('422 invalid');
    expect(await codeOf(host.enrol(token, { public_key: host.pem }))).toBe('201 pending');
    expect(await codeOf(host.enrol(token))).toBe('201 pending');
  });

  test('that lost the answer asks again; the token is used once', async () => {
    const token = await enrolmentToken();
    const host = new Host(await newNode());
    const [first, again] = [await json(host.enrol(token)), await json(host.enrol(token))];
    expect(again).toEqual(first);
    expect(await codeOf(new Host(host.fqdn).enrol(token))).toBe('401 bad-token');
    const used = await json(corral.request('/api/v1/enrolment-tokens?sort=-id&limit=1'));
    expect((used['enrolment_tokens'] as { used: number; uses: number }[])[0]).toMatchObject({ used: 1, uses: 1 });
  });

  test('of many at once only as many come in as the token says', async () => {
    const token = await enrolmentToken({ uses: 3 });
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => new Host(`race${i}.example.com`).enrol(token).then(codeOf)));
    expect(answers.sort()).toEqual([...Array(3).fill('201 pending'), ...Array(7).fill('401 bad-token')]);
  });
});

describe('an enrolment token', () => {
  test('that is wrong, deleted or over is refused', async () => {
    const host = new Host(await newNode());
    expect(await codeOf(host.enrol('corral_enrolment_nothing'))).toBe('401 bad-token');
    const token = await enrolmentToken({ name: 'over' });
    await corral.pool.query(`update enrolment_token set expires_at = now() where name = 'over'`);
    expect(await codeOf(host.enrol(token))).toBe('401 bad-token');
    const gone = await enrolmentToken({ name: 'gone' });
    expect((await corral.request('/api/v1/enrolment-tokens/gone', { method: 'DELETE' })).status).toBe(204);
    expect(await codeOf(host.enrol(gone))).toBe('401 bad-token');
    expect((await corral.request('/api/v1/nodes', { token })).status).toBe(401);
  });

  test('is for names of its pattern, and nodes of its site', async () => {
    await corral.make('site', { name: 'ams1' });
    await corral.make('node', { fqdn: 'hv1.ams1.example.com', site: 'ams1', ...hypervisor });
    const token = await enrolmentToken({ pattern: 'hv*.example.com', site: 'fra1', uses: 10 });
    for (const [fqdn, code] of [
      [await newNode(), '201 pending'],
      ['hv1.ams1.example.com', '403 forbidden'],
      [OTHER, '403 forbidden'],
      ['hv1xexample.com', '403 forbidden'],
      ['hv1.example.com.evil.net', '403 forbidden'],
    ] as const)
      expect([fqdn, await codeOf(new Host(fqdn).enrol(token))]).toEqual([fqdn, code]);
  });

  test('lets hosts in by itself when it says so, but never as a node that is somebody already', async () => {
    const token = await enrolmentToken({ auto_approve: true, uses: 20 });
    const host = new Host(await newNode());
    expect(await codeOf(host.enrol(token))).toBe('201 approved');
    expect(await codeOf(host.token())).toBe('200 approved');
    expect(await codeOf(new Host(host.fqdn).enrol(token))).toBe('201 pending');
    const rejected = new Host(await newNode());
    await rejected.enrol(await enrolmentToken());
    await corral.make('token', { name: 'by-hand', kind: 'node', node: rejected.fqdn });
    expect(await codeOf(new Host(rejected.fqdn).enrol(token))).toBe('201 pending');
    expect(await codeOf(new Host('nobody.example.com').enrol(token))).toBe('201 pending');
  });

  test('may make the node, with what it says', async () => {
    const token = await enrolmentToken({ auto_approve: true, site: 'fra1', pattern: 'new*.example.com', node: hypervisor });
    const host = new Host('NEW1.example.com'.toLowerCase());
    expect(await codeOf(host.enrol(token))).toBe('201 approved');
    const { token: mine } = await json<{ token: string }>(host.token());
    expect(await read(mine, host.fqdn)).toBe(200);
    expect(await json(corral.request(`/api/v1/nodes/${host.fqdn}`))).toMatchObject({ site: 'fra1', roles: { hypervisor: { cores: 4 } } });
    const bad = await enrolmentToken({ auto_approve: true, site: 'fra1', node: { roles: {} } });
    expect(await codeOf(new Host('new2.example.com').enrol(bad))).toMatch(/^4\d\d /);
  });

  test('is made only by who may do what it does', async () => {
    const store = (permissions: readonly string[]) => ({
      ...corral.store,
      rights: new Rights('Anna', [{ has: (one: string) => permissions.includes(one), acts: () => true }]),
    });
    const model = corral.catalog.byNoun('enrolment_token');
    const make = (permissions: readonly string[], input: object): Promise<unknown> =>
      createThing(store(permissions), model, { name: `r-${made++}`, ...input }).then(
        () => 'made',
        (error: Error) => error.message,
      );
    expect(await make(['enrolment_token:create'], {})).toBe('made');
    expect(await make(['enrolment_token:create'], { auto_approve: true })).toContain('enrolment:update is missing');
    expect(await make(['enrolment_token:create', 'enrolment:update'], { auto_approve: true })).toBe('made');
    expect(await make(['enrolment_token:create'], { site: 'fra1', node: {} })).toContain('node:create is missing');
    expect(await make(['enrolment_token:create', 'node:create'], { node: {} })).toContain('/site is needed');
    expect(await make(['enrolment_token:create', 'node:create'], { site: 'fra1', node: { fqdn: 'x' } })).toContain('/node/fqdn is given elsewhere');
  });
});

describe('a proof', () => {
  test('must be of this key, over these values, of now', async () => {
    const host = new Host(await newNode());
    const token = await enrolmentToken();
    const time = host.now();
    expect(await codeOf(host.enrol(token, { proof: new Host(host.fqdn).sign(enrolStatement(host.fqdn, token, time)), time }))).toBe('401 bad-proof');
    expect(await codeOf(host.enrol(token, { proof: host.sign(enrolStatement(OTHER, token, time)), time }))).toBe('401 bad-proof');
    expect(await codeOf(host.enrol(token, { fqdn: OTHER }))).toBe('401 bad-proof');
    expect(await codeOf(host.enrol(token, { time: new Date(Date.now() - 301_000).toISOString() }))).toBe('401 bad-proof');
    expect(await codeOf(host.enrol(token, { time: new Date(Date.now() + 302_000).toISOString() }))).toBe('401 bad-proof');
    expect(await codeOf(host.enrol(token, { time: 'now' }))).toBe('422 invalid');
    expect(await codeOf(host.enrol(token, { proof: 'x' }))).toBe('422 invalid');
    expect(await codeOf(host.enrol(token))).toBe('201 pending');
  });

  test('is good once, and none that is older afterwards', async () => {
    const host = new Host(await newNode());
    await host.enrol(await enrolmentToken({ auto_approve: true }));
    const early = host.now();
    const time = host.now();
    expect(await codeOf(host.token({ time }))).toBe('200 approved');
    expect(await codeOf(host.token({ time }))).toBe('401 bad-proof');
    expect(await codeOf(host.token({ time: early }))).toBe('401 bad-proof');
    const later = host.now();
    expect((await Promise.all(Array.from({ length: 5 }, () => host.token({ time: later }).then(codeOf)))).sort()).toEqual([
      '200 approved',
      ...Array(4).fill('401 bad-proof'),
    ]);
    const other = new Host(await newNode());
    await other.enrol(await enrolmentToken({ auto_approve: true }));
    expect(await codeOf(other.token({ id: host.id }))).toBe('401 bad-proof');
    expect(await codeOf(host.token({ proof: host.sign(tokenStatement(other.id, later)) }))).toBe('401 bad-proof');
    for (const id of ['00000000-0000-4000-8000-000000000000', '1', 'x']) expect(await codeOf(host.token({ id }))).toBe('404 not-found');
  });
});

describe('an operator', () => {
  test('rejects one, or puts one out that was in', async () => {
    const [one, other] = [new Host(await newNode()), new Host(await newNode())];
    await one.enrol(await enrolmentToken());
    expect((await json(verdict(one, 'reject')))['state']).toBe('rejected');
    expect(await codeOf(one.token())).toBe('403 forbidden');
    expect(await codeOf(verdict(one, 'approve'))).toBe('409 conflict');
    await other.enrol(await enrolmentToken({ auto_approve: true }));
    const { token } = await json<{ token: string }>(other.token());
    expect(await read(token, other.fqdn)).toBe(200);
    expect((await json(verdict(other, 'reject')))['state']).toBe('rejected');
    expect([await read(token, other.fqdn), await codeOf(other.token())]).toEqual([401, '403 forbidden']);
    expect(await codeOf(verdict(other, 'reject'))).toBe('409 conflict');
  });

  test('lets a host in anew, and the one before is out', async () => {
    const fqdn = await newNode();
    const [before, after] = [new Host(fqdn), new Host(fqdn)];
    await before.enrol(await enrolmentToken({ auto_approve: true }));
    const { token } = await json<{ token: string }>(before.token());
    await after.enrol(await enrolmentToken());
    expect([await codeOf(after.token()), await read(token, fqdn)]).toEqual(['200 pending', 200]);
    await verdict(after, 'approve');
    expect([await read(token, fqdn), await codeOf(before.token()), await codeOf(after.token())]).toEqual([401, '403 forbidden', '200 approved']);
  });

  test('makes the node first', async () => {
    const host = new Host('later.example.com');
    await host.enrol(await enrolmentToken());
    const refused = await json<WireProblem>(verdict(host, 'approve'));
    expect([refused.code, refused.detail]).toEqual(['conflict', "There is no node 'later.example.com'; make it first, then approve"]);
    await corral.make('node', { fqdn: host.fqdn, site: 'fra1', ...hypervisor });
    expect((await json(verdict(host, 'approve')))['state']).toBe('approved');
  });

  test('who deletes the token, or the node, ends the enrolment', async () => {
    const [one, other] = [new Host(await newNode()), new Host(await newNode())];
    for (const host of [one, other]) {
      await host.enrol(await enrolmentToken({ auto_approve: true }));
      await host.token();
    }
    const row = await json(corral.request(`/api/v1/enrolments/${one.id}`));
    expect((await corral.request(`/api/v1/tokens/${String(row['token'])}`, { method: 'DELETE' })).status).toBe(204);
    expect(await codeOf(one.token())).toBe('404 not-found');
    expect((await corral.request(`/api/v1/nodes/${other.fqdn}`, { method: 'DELETE' })).status).toBe(204);
    expect(await codeOf(other.token())).toBe('404 not-found');
  });

  test('is needed: nobody else decides, or sees', async () => {
    const host = new Host(await newNode());
    await host.enrol(await enrolmentToken());
    const reader = String((await corral.make('token', { name: 'a-reader', kind: 'reader' }))['token']);
    const node = String((await corral.make('token', { name: 'a-node', kind: 'node', node: host.fqdn }))['token']);
    for (const token of [reader, node])
      for (const word of ['approve', 'reject'] as const) expect(await codeOf(verdict(host, word, token))).toBe('403 forbidden');
    expect((await corral.request('/api/v1/enrolments', { token: node })).status).toBe(403);
    expect((await corral.request(`/api/v1/enrolments/${host.id}/approve`, { method: 'POST', headers: {}, token: null })).status).toBe(401);
    for (const [method, path] of [
      ['GET', '/enrolments'],
      ['GET', `/enrolments/${host.id}/token`],
      ['GET', `/api/v1/enrolments/${host.id}/approve`],
      ['DELETE', `/api/v1/enrolments/${host.id}`],
      ['POST', '/api/v1/enrolments'],
    ] as const)
      expect([path, (await corral.request(path, { method })).status]).toEqual([path, 405]);
  });

  test('is seen in the audit log, and no secret is', async () => {
    const host = new Host(await newNode());
    const token = await enrolmentToken({ name: 'audited' });
    await host.enrol(token);
    await verdict(host, 'approve');
    const { rows } = await corral.pool.query<{ actor: string; noun: string; op: string; state: string | null }>(
      `select actor, detail->>'noun' as noun, detail->>'op' as op, detail->'after'->>'state' as state from audit_entry
       where detail->'after'->>'fqdn' = $1 or detail->'after'->>'name' = 'audited' order by number`,
      [host.fqdn],
    );
    expect(rows).toEqual([
      { actor: 'corral', noun: 'enrolment_token', op: 'insert', state: null },
      { actor: `enrolment of ${host.fqdn}`, noun: 'enrolment_token', op: 'update', state: null },
      { actor: `enrolment of ${host.fqdn}`, noun: 'enrolment', op: 'insert', state: 'pending' },
      { actor: 'admin', noun: 'enrolment', op: 'update', state: 'approved' },
    ]);
    const { rows: all } = await corral.pool.query<{ text: string }>('select detail::text as text from audit_entry');
    expect(all.some(({ text }) => text.includes('corral_enrolment_') || text.includes('"hash"'))).toBe(false);
  });
});

test('a body that is too large, or none, is refused', async () => {
  expect(await codeOf(corral.request('/enrolments', { ...send('POST', { token: 'x'.repeat(9000) }), token: null }))).toBe('413 too-large');
  expect(await codeOf(corral.request('/enrolments', { ...send('POST', {}), token: null }))).toBe('422 invalid');
  expect(await codeOf(corral.request('/enrolments', { method: 'POST', body: '{', headers: { 'content-type': 'application/json' }, token: null }))).toBe(
    '400 bad-body',
  );
});
