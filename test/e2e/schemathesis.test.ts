/**
 * schemathesis (PyPI) over the whole OpenAPI document, with each kind of identity, against the real program on a
 * database of its own with the demo fleet: no 5xx, and no answer that the document does not tell of.
 * CORRAL_SCHEMATHESIS_EXAMPLES: how many requests each operation gets at most, of an admin three times as many (default 1);
 * CORRAL_SCHEMATHESIS_SEED: another seed than the usual one.
 */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCorral, type RunningCorral } from './corral.ts';

const VERSION = '4.32.5';
const VENV = join(process.env['CORRAL_E2E_DIR'] ?? '/var/cache/corral-e2e', 'schemathesis');
const TOOL = join(VENV, 'bin/schemathesis');
const EXAMPLES = Number(process.env['CORRAL_SCHEMATHESIS_EXAMPLES'] ?? 1);
const SEED = process.env['CORRAL_SCHEMATHESIS_SEED'] ?? '20261121';
const CHECKS = 'not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance';
/** Streams do not end; the others would end the run: they take the token away that it is made with. */
const WITHOUT = ['^/watch', '/events$', '/tokens/\\{[^}]*\\}'];

/** Why these tests cannot run here; undefined when they can. */
function whyNot(): string | undefined {
  if (existsSync(TOOL)) return undefined;
  try {
    mkdirSync(VENV, { recursive: true });
    execFileSync('python3', ['-m', 'venv', VENV], { stdio: 'pipe' });
    execFileSync(join(VENV, 'bin/pip'), ['install', '-q', '--disable-pip-version-check', `schemathesis==${VERSION}`], { stdio: 'pipe', timeout: 300_000 });
    return undefined;
  } catch (error) {
    rmSync(VENV, { recursive: true, force: true });
    return `schemathesis cannot be installed in ${VENV}: ${String(error).slice(0, 300)}`;
  }
}
const reason = whyNot();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

const HOW =
  '--phases examples,fuzzing --workers 1 --continue-on-failure --no-shrink --request-timeout 30 --suppress-health-check all --warnings off --output-truncate true'.split(
    ' ',
  );

/** Runs it. @returns its exit code and what it printed */
function run(args: readonly string[]): Promise<{ code: number; out: string }> {
  return new Promise((resolve) => {
    execFile(TOOL, args, { maxBuffer: 2 ** 26, env: { ...process.env, NO_COLOR: '1', COLUMNS: '160' } }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, out: stdout + stderr });
    });
  });
}

describe.skipIf(reason !== undefined)('schemathesis finds nothing', () => {
  let corral: RunningCorral;
  let folder: string;
  const tokens: Record<string, string | undefined> = {};

  beforeAll(async () => {
    corral = await startCorral({ CORRAL_DEMO: '1', CORRAL_RATE_LIMIT: '0', CORRAL_RATE_LIMIT_ADDRESS: '0' });
    folder = mkdtempSync(join(tmpdir(), 'corral-schemathesis-'));
    const token = async (name: string, input: object): Promise<string> => String((await corral.call('POST', '/api/v1/tokens', { name, ...input }))['token']);
    const bound = async (name: string, role: string, place: object = {}): Promise<string> => {
      const made = await token(name, { kind: 'program' });
      await corral.call('POST', '/api/v1/bindings', { name, token: name, role, ...place });
      return made;
    };
    Object.assign(tokens, {
      nobody: undefined,
      node: await token('st-node', { kind: 'node', node: 'hv1.fra1.example.com' }),
      server: await token('st-server', { kind: 'server' }),
      reader: await token('st-reader', { kind: 'reader' }),
      unbound: await token('st-unbound', { kind: 'program' }),
      'customer-user': await bound('st-customer-user', 'customer-user', { customer: 'acme' }),
      'customer-admin': await bound('st-customer-admin', 'customer-admin', { customer: 'acme' }),
      'project-user': await bound('st-project-user', 'customer-user', { project: 'acme:shop' }),
      'site-operator': await bound('st-site-operator', 'operator', { site: 'fra1' }),
      viewer: await bound('st-viewer', 'viewer'),
      operator: await bound('st-operator', 'operator'),
      admin: corral.adminToken,
    });
    writeFileSync(join(folder, 'openapi.json'), JSON.stringify(await corral.call('GET', '/openapi.json')));
  });
  afterAll(async () => {
    await corral?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  test.each([
    'nobody',
    'node',
    'server',
    'reader',
    'unbound',
    'customer-user',
    'customer-admin',
    'project-user',
    'site-operator',
    'viewer',
    'operator',
    'admin',
  ])('as %s', async (who) => {
    const { code, out } = await run([
      'run',
      join(folder, 'openapi.json'),
      ...`--url ${corral.url} --checks ${CHECKS} --max-examples ${who === 'admin' ? 3 * EXAMPLES : EXAMPLES} --seed ${SEED}`.split(' '),
      ...HOW,
      ...(tokens[who] === undefined ? [] : ['--header', `Authorization: Bearer ${tokens[who]}`]),
      ...WITHOUT.flatMap((path) => ['--exclude-path-regex', path]),
    ]);
    expect(code === 0 ? '' : out.slice(-20_000)).toBe('');
  });
});
