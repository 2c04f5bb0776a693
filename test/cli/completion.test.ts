import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { corral, scratch } from './support.ts';

const script = join(scratch(), 'corral.bash');

/** What bash would offer after these words, the last of which is being typed. */
function offered(...words: string[]): string[] {
  const code = `source "$0"; COMP_WORDS=(corral "$@"); COMP_CWORD=$#; _corral; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', code, script, ...words], { encoding: 'utf8' })
    .split('\n')
    .filter((one) => one !== '');
}

beforeAll(async () => {
  writeFileSync(script, (await corral(['completion', 'bash'])).out);
});

describe('completion in bash', () => {
  it.each<[string[], string[]]>([
    [['se'], ['serve', 'set']],
    [
      ['token', ''],
      ['create', 'list', 'rotate', 'delete'],
    ],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [
      ['get', 'vm-i'],
      ['vm-interfaces', 'vm-interface'],
    ],
    [
      ['get', 'vms', 'cores_max__g'],
      ['cores_max__gt=', 'cores_max__gte='],
    ],
    [
      ['get', 'vms', '-q', 'cores_max__g'],
      ['cores_max__gt=', 'cores_max__gte='],
    ],
    [['get', '--url', 'http://x', 'virtual', 'x'], []],
    [
      ['get', 'vms', 'state', '='],
      ['running', 'stopped', 'paused'],
    ],
    [['get', 'vms', 'state', '=', 'st'], ['stopped']],
    [['get', 'vms', 'state__ne', '=', 'st'], ['stopped']],
    [['create', 'vm', 'firm'], ['firmware=']],
    [
      ['create', 'node', 'roles.hypervisor.reserve_'],
      ['roles.hypervisor.reserve_cores=', 'roles.hypervisor.reserve_ram='],
    ],
    [['set', 'site', 'na'], []],
    [['set', 'site', 'fra1', 'na'], ['name=']],
    [['get', 'vms', '--so'], ['--sort']],
    [['get', 'vms', '-o', 'm'], ['msgpack']],
    [
      ['token', 'create', 'x', '--kind', ''],
      ['admin', 'reader', 'node', 'server', 'program'],
    ],
  ])('%j', (words, expected) => {
    expect(offered(...words)).toEqual(expected);
  });

  it('offers files where a file is meant', () => {
    expect(offered('import', '/etc/host')).toContain('/etc/hosts');
    expect(offered('create', 'vm', '-f', '/etc/host')).toContain('/etc/hosts');
  });
});

describe('completion in other shells', () => {
  it.each([
    ['zsh', /compdef _corral corral/],
    ['fish', /complete -c corral/],
  ])('%s gets the same words', async (shell, mark) => {
    const { code, out } = await corral(['completion', shell]);
    expect(code).toBe(0);
    expect(out).toMatch(mark);
    for (const word of ['vm-interfaces', 'roles.hypervisor.cores=', 'cores__gte=', 'paused', '--token-file']) expect(out).toContain(word);
  });

  it('refuses a shell that it does not know, and names those that it does', async () => {
    const { code, err } = await corral(['completion', 'tcsh']);
    expect(code).toBe(2);
    expect(err).toContain('bash, zsh, fish');
  });
});
