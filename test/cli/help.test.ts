import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { program } from '../../src/cli/run.ts';
import { BIN, corral, scratch } from './support.ts';

const leaves = (command: Command, prefix: string[] = []): [string, Command][] =>
  command.commands.length > 0 ? command.commands.flatMap((one) => leaves(one, [...prefix, one.name()])) : [[prefix.join(' '), command]];

describe('help', () => {
  it('names every subcommand, the exit codes and examples', async () => {
    const { code, out } = await corral(['--help']);
    expect(code).toBe(0);
    for (const one of program().commands) expect(out).toMatch(new RegExp(`^  ${one.name()}\\b`, 'm'));
    expect(out).toMatch(/Exit codes:[\s\S]*5 +the API or the database cannot be reached/);
    expect(out).not.toContain('\u001b');
  });

  it.each(leaves(program()))('of %s says what it does, and how to call it', async (name) => {
    const { code, out } = await corral([...name.split(' '), '--help']);
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^Usage: corral ${name}`));
    expect(out).toMatch(/Examples:\n {2}\S/);
  });

  it('shows examples that the command line takes', () => {
    const parsed = program();
    for (const [name, command] of leaves(parsed)) {
      const text: string[] = [];
      command.configureOutput({ writeOut: (chunk) => void text.push(chunk) });
      command.outputHelp();
      const options = [...text.join('').matchAll(/^ {2}.*corral .*$/gm)].flatMap((line) => [...line[0].matchAll(/ (--[a-z-]+)/g)].map((one) => one[1]!));
      for (const option of options) expect(text.join(''), `${name} ${option}`).toMatch(new RegExp(`^ {2}(-\\w, )?${option}\\b`, 'm'));
    }
  });

  it('is shown when nothing is asked for, as an error', async () => {
    const { code, out, err } = await corral([]);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toContain('Usage: corral');
  });

  it('shows the version', async () => {
    expect((await corral(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('bin/corral', () => {
  it('runs through symbolic links, from anywhere', async () => {
    const folder = scratch();
    mkdirSync(join(folder, 'bin dir'));
    symlinkSync(BIN, join(folder, 'bin dir', 'first'));
    symlinkSync('first', join(folder, 'bin dir', 'corral'));
    expect((await corral(['--version'], { bin: join(folder, 'bin dir', 'corral'), cwd: '/' })).code).toBe(0);
    expect(execFileSync('./corral', ['--version'], { cwd: join(folder, 'bin dir'), encoding: 'utf8' })).toMatch(/^\d/);
  });

  it('says what to do when it is not built', async () => {
    const folder = mkdtempSync(join(scratch(), 'unbuilt-'));
    mkdirSync(join(folder, 'bin'));
    copyFileSync(BIN, join(folder, 'bin', 'corral'));
    const { code, err } = await corral(['get', 'nodes'], { bin: join(folder, 'bin', 'corral') });
    expect(code).toBe(1);
    expect(err).toContain('npm install && npm run build');
  });
});

describe('config', () => {
  it('shows every setting with its source, and no secret', async () => {
    const file = join(scratch(), 'corral.yaml');
    writeFileSync(file, 'port: 9001\n');
    const env = { CORRAL_CONFIG: file, CORRAL_ADMIN_TOKEN: 'a-very-secret-token', HOST: '0.0.0.0' };
    const table = await corral(['config'], { env });
    expect(table.code).toBe(0);
    expect(table.out).toMatch(/^PORT +port +9001 +file +Port to listen on/m);
    expect(table.out).toMatch(/^HOST +host +0\.0\.0\.0 +environment/m);
    expect(table.out).toMatch(/^CORRAL_ADMIN_TOKEN +admin_token +\(hidden\)/m);
    const json = JSON.parse((await corral(['config', '-o', 'json'], { env })).out) as { variable: string }[];
    expect(json.map((one) => one.variable)).toContain('CORRAL_DATA');
    expect((await corral(['config', '-o', 'yaml'], { env })).out).toContain('variable: PORT');
    expect(table.out + JSON.stringify(json)).not.toContain('very-secret');
  });

  it('names what is wrong', async () => {
    const { code, err } = await corral(['config'], { env: { PORT: 'abc', CORRAL_ADMIN_TOKEN: 'short' } });
    expect(code).toBe(2);
    expect(err).toMatch(/^ {2}PORT: /m);
    expect(err).toMatch(/^ {2}CORRAL_ADMIN_TOKEN: /m);
  });
});
