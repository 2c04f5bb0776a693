import { once } from 'node:events';
import { X509Certificate } from 'node:crypto';
import { Agent } from 'node:https';
import { connect as connectTls } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { HV, smallFleet } from '../http/samples.ts';
import { ADMIN, testCorral } from '../support/corral.ts';
import { TestCa, type Leaf } from './ca.ts';
import { KEY, put, tlsRig, until, type Answer, type AskOptions } from './rig.ts';

const OTHER = 'mon0.example.com';
const ca = new TestCa();
const foreign = new TestCa();
const corral = await testCorral({ CORRAL_ENCRYPTION_KEY: KEY });
await smallFleet(corral);
const rig = await tlsRig(corral, ca);
const hv = ca.leaf(HV);
const code = ({ status, body }: Answer): string => `${status} ${(JSON.parse(body) as { code?: string }).code ?? ''}`.trim();
const asks = async (path: string, options: AskOptions): Promise<string> => code(await rig.ask(path, { headers: { accept: 'application/json' }, ...options }));
const detail = async (leaf: Leaf, path = `/enc/${HV}`): Promise<string> =>
  String((JSON.parse((await rig.ask(path, { leaf, headers: { accept: 'application/json' } })).body) as { detail?: string }).detail);
const report = (node: string): object => ({ node, uptime: 1 });

describe('a node with a certificate', () => {
  test('reads its own documents in every envelope, as with its token', async () => {
    const { token } = (await corral.make('token', { name: 'hv0', kind: 'node', node: HV })) as { token: string };
    for (const path of [
      `/enc/${HV}`,
      `/hiera/${HV}`,
      `/hiera/${HV}/corral::roles`,
      `/pillar/${HV}`,
      `/tops/${HV}`,
      `/documents/${HV}`,
      `/enc/${HV.toUpperCase()}`,
    ]) {
      const [mine, same] = [await rig.ask(path, { leaf: hv }), await rig.ask(path, { token })];
      expect([path, mine.status, mine.body, mine.headers.etag]).toEqual([path, 200, same.body, same.headers.etag]);
    }
    const page = await rig.ask(`/enc/${HV}`, { leaf: hv, headers: { accept: 'text/html' } });
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
  });

  test('reports for itself, on every path', async () => {
    expect(await asks('/heartbeats', { leaf: hv, method: 'POST', body: report(HV) })).toBe('200');
    expect(
      await asks(`/pdb/cmd/v1?command=replace_facts&version=5&certname=${HV}`, { leaf: hv, method: 'POST', body: { certname: HV, values: { a: 1 } } }),
    ).toBe('200');
    const { rows } = await corral.pool.query<{ n: string }>('select count(*) as n from node_status s join node n on n.id = s.node_id where n.fqdn = $1', [HV]);
    expect(rows[0]!.n).toBe('1');
  });

  test('sees and reports nothing else, whatever URL it tries', async () => {
    const paths = [
      ...['enc', 'hiera', 'pillar', 'tops', 'documents'].map((envelope) => `/${envelope}/${OTHER}`),
      `/documents/${OTHER}/events`,
      `/documents/${OTHER}/diff`,
      `/enc/${OTHER}?at=1`,
      `/hiera/${OTHER}/corral::roles`,
      '/enc/nobody.example.com',
      `/enc/${HV}%2f..%2f${OTHER}`,
      '/documents',
      '/watch',
      '/api/v1/nodes',
      `/api/v1/nodes/${HV}`,
      `/api/v1/nodes/${HV}/explain`,
      '/api/v1/tokens',
      '/api/v1/changes',
      '/changes',
      '/openapi.json',
      '/',
      '/docs',
    ];
    for (const path of paths) expect([path, (await rig.ask(path, { leaf: hv, headers: { accept: '*/*' } })).status]).toEqual([path, 403]);
    expect(await asks('/heartbeats', { leaf: hv, method: 'POST', body: report(OTHER) })).toBe('403 forbidden');
    expect(await asks(`/pdb/cmd/v1?command=replace_facts&version=5&certname=${OTHER}`, { leaf: hv, method: 'POST', body: {} })).toBe('403 forbidden');
    expect(await asks('/api/v1/sites', { leaf: hv, method: 'POST', body: { name: 'x' } })).toBe('403 forbidden');
    expect(await detail(hv, `/enc/${OTHER}`)).toBe(`The certificate of '${HV}' may only read the documents of ${HV}`);
  });

  test('that Corral does not know is told so, and one that is deactivated', async () => {
    expect(await asks('/enc/nobody.example.com', { leaf: ca.leaf('nobody.example.com') })).toBe('404 not-found');
    await corral.make('node', { fqdn: 'gone.example.com', site: 'fra1', state: 'deactivated', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
    expect(await asks('/enc/gone.example.com', { leaf: ca.leaf('gone.example.com') })).toBe('410 gone');
  });

  test('may show a token, which then counts alone', async () => {
    expect(await asks('/api/v1/sites', { leaf: hv, token: ADMIN })).toBe('200');
    expect(await asks(`/enc/${HV}`, { leaf: hv, token: 'corral_node_nobody' })).toBe('401 bad-token');
    expect(await asks(`/enc/${HV}`, { leaf: hv, headers: { authorization: 'Basic eDp5', accept: 'application/json' } })).toBe('401 no-token');
    expect(await asks('/heartbeats', { leaf: hv, method: 'POST', body: report(HV), headers: { authorization: 'Basic eDp5' } })).toBe('401 no-token');
  });

  test('is refused to pages of other sites', async () => {
    expect(await asks('/heartbeats', { leaf: hv, method: 'POST', body: report(HV), headers: { origin: 'https://evil.example.net' } })).toBe('403 forbidden');
  });
});

describe('a certificate that is not good', () => {
  const cases: readonly [string, () => Leaf, string][] = [
    ['foreign', () => foreign.leaf(HV), 'CA that is not known here'],
    ['expired', () => ca.leaf(HV, { from: '20200101000000Z', until: '20210101000000Z' }), 'expired at'],
    ['not for clients', () => ca.leaf(HV, { purposes: 'serverAuth' }), 'not for clients'],
    ['without a certname', () => ca.leaf('', { subject: `/CN=${HV}/CN=${OTHER}` }), 'has no certname'],
    ['of the CA itself', () => ca.itself, "is a CA's"],
  ];
  test.each(cases)('is refused everywhere, with a token, too: %s', async (_what, make, message) => {
    const leaf = make();
    for (const path of [`/enc/${HV}`, `/documents/${HV}/events`, '/watch', '/api/v1/sites', '/documents']) {
      expect([path, await asks(path, { leaf, headers: { accept: '*/*' } })]).toEqual([path, '401 bad-certificate']);
      expect([path, await asks(path, { leaf, token: ADMIN, headers: { accept: '*/*' } })]).toEqual([path, '401 bad-certificate']);
    }
    expect(await asks('/heartbeats', { leaf, method: 'POST', body: report(HV) })).toBe('401 bad-certificate');
    expect(await detail(leaf)).toContain(message);
    expect((await rig.ask('/healthz', { leaf })).status).toBe(200);
  });

  test('is that of nobody: without one a token is needed', async () => {
    expect(await asks(`/enc/${HV}`, {})).toBe('401 no-token');
  });
});

test('a certificate that is revoked is refused at once, on connections that are there, too', async () => {
  const leaf = ca.leaf(HV);
  const agent = new Agent({ keepAlive: true, maxSockets: 1, maxCachedSessions: 10 });
  expect(await asks(`/enc/${HV}`, { leaf, agent })).toBe('200');
  const stream = await rig.open(`/documents/${HV}/events`, { leaf });
  const ended = once(stream.resume(), 'end');
  ca.revoke(leaf);
  put(rig.paths.crl, ca.crl());
  await until(async () => (await asks(`/enc/${HV}`, { leaf })) === '401 bad-certificate');
  expect(await asks(`/enc/${HV}`, { leaf, agent })).toBe('401 bad-certificate');
  expect(await detail(leaf)).toBe('The client certificate was revoked');
  await corral.make('node_interface', { node: HV, name: 'eno7' });
  await ended;
  agent.destroy();
  /* Others are what they were. */
  expect(await asks(`/enc/${HV}`, { leaf: hv })).toBe('200');
  /* A list that cannot be read changes nothing. */
  put(rig.paths.crl, 'half');
  process.emit('SIGHUP');
  expect([await asks(`/enc/${HV}`, { leaf }), await asks(`/enc/${HV}`, { leaf: hv })]).toEqual(['401 bad-certificate', '200']);
  put(rig.paths.crl, ca.crl());
});

test('no connection is resumed past its check', async () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const options = { port: rig.port, host: '127.0.0.1', rejectUnauthorized: false, cert: hv.cert, key: hv.key, minVersion: version, maxVersion: version };
    const first = connectTls(options);
    let session: Buffer | undefined;
    first.on('session', (one: Buffer) => (session = one));
    await once(first, 'secureConnect');
    first.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    await once(first.resume(), 'close');
    const second = connectTls({ ...options, session: session ?? first.getSession() });
    await once(second, 'secureConnect');
    expect([version, second.isSessionReused()]).toEqual([version, false]);
    second.destroy();
  }
});

describe('behind a proxy that ends TLS', async () => {
  const plain = { CORRAL_TLS_CERT: '', CORRAL_TLS_KEY: '' };
  const behind = await tlsRig(corral, new TestCa(), {
    env: { ...plain, CORRAL_TRUSTED_PROXIES: '127.0.0.1', CORRAL_TLS_CLIENT_CA: rig.paths.ca, CORRAL_TLS_CRL: rig.paths.crl },
  });
  const open = await tlsRig(corral, new TestCa(), { env: { ...plain, CORRAL_TLS_CLIENT_CA: rig.paths.ca, CORRAL_TLS_CRL: rig.paths.crl } });
  const header = ({ cert }: Leaf): Record<string, string> => ({
    'client-cert': `:${new X509Certificate(cert).raw.toString('base64')}:`,
    accept: 'application/json',
  });
  const get = async (where: typeof behind, headers: Record<string, string>, path = `/enc/${HV}`): Promise<string> => code(await where.ask(path, { headers }));

  test('the certificate that the proxy hands on counts (RFC 9440), and is checked here', async () => {
    expect(behind.url).toMatch(/^http:/);
    expect(await get(behind, header(hv))).toBe('200');
    expect(await get(behind, header(hv), `/enc/${OTHER}`)).toBe('403 forbidden');
    expect(await get(behind, header(foreign.leaf(HV)))).toBe('401 bad-certificate');
    expect(await get(behind, header(ca.leaf(HV, { from: '20200101000000Z', until: '20210101000000Z' })))).toBe('401 bad-certificate');
    const nginx = encodeURIComponent(hv.cert);
    expect(await get(behind, { 'client-cert': nginx, accept: 'application/json' })).toBe('200');
  });

  test.each(['x', '::', ':!:', ':AAAA:', '%', 'a'.repeat(15_000), `${encodeURIComponent(hv.cert)}${encodeURIComponent(hv.cert)}`])(
    'what is no certificate is refused: %#',
    async (text) => {
      expect(await get(behind, { 'client-cert': text, accept: 'application/json' })).toBe('401 bad-certificate');
    },
  );

  test('none is none', async () => {
    expect([await get(behind, { accept: 'application/json' }), await get(behind, { 'client-cert': '', accept: 'application/json' })]).toEqual([
      '401 no-token',
      '401 no-token',
    ]);
  });

  test('nobody else can hand one on', async () => {
    expect(await get(open, header(hv))).toBe('401 no-token');
    expect(await asks(`/enc/${HV}`, { headers: header(hv) })).toBe('401 no-token');
    expect(await asks(`/enc/${OTHER}`, { leaf: hv, headers: header(ca.leaf(OTHER)) })).toBe('403 forbidden');
  });

  test('one that is revoked is refused, though it was known', async () => {
    const leaf = ca.leaf(HV);
    expect(await get(behind, header(leaf))).toBe('200');
    ca.revoke(leaf);
    put(rig.paths.crl, ca.crl());
    await until(async () => (await get(behind, header(leaf))) === '401 bad-certificate');
    expect(await get(behind, header(hv))).toBe('200');
  });

  test("a proxy's own certificate is not its client's", async () => {
    const both = await tlsRig(corral, new TestCa(), {
      env: { CORRAL_TRUSTED_PROXIES: '127.0.0.1', CORRAL_TLS_CLIENT_CA: rig.paths.ca, CORRAL_TLS_CRL: rig.paths.crl },
    });
    expect(code(await both.ask(`/enc/${HV}`, { leaf: hv, headers: { accept: 'application/json' } }))).toBe('401 no-token');
    expect(code(await both.ask(`/enc/${HV}`, { leaf: ca.leaf(OTHER), headers: header(hv) }))).toBe('200');
  });
});
