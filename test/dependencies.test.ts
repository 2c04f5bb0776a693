/** What Corral is built on is listed and explained in docs/dependencies.md, and nothing else runs when it is installed. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

interface Package {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly hasInstallScript?: boolean;
}

const root = new URL('../', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, root), 'utf8');
const { packages } = JSON.parse(read('package-lock.json')) as { packages: Readonly<Record<string, Package>> };
const declared = JSON.parse(read('package.json')) as Readonly<
  Record<'dependencies' | 'devDependencies' | 'optionalDependencies' | 'allowScripts', Record<string, unknown>>
>;
const nameOf = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

/** The rows of a section's table, by their first cell. */
function rowsOf(section: string): Map<string, string[]> {
  const text = read('docs/dependencies.md')
    .split(/^## /m)
    .find((part) => part.startsWith(section));
  expect(text).toBeDefined();
  const rows = text!.split('\n').filter((line) => /^\| (?!package|---)/.test(line));
  return new Map(
    rows
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      )
      .map(([first, ...rest]) => [first!, rest]),
  );
}

test('every package with an install script is named and explained', () => {
  const scripts = Object.entries(packages).flatMap(([path, one]) => (one.hasInstallScript ? [nameOf(path)] : []));
  const rows = rowsOf('Install scripts');
  expect([...rows.keys()].sort()).toEqual([...new Set(scripts)].sort());
  for (const [name, [why]] of rows) expect([name, why!.length > 5]).toEqual([name, true]);
  for (const name of Object.keys(declared.allowScripts)) expect(scripts).toContain(name);
});

test('every direct dependency is named, with what it is for and its licence', () => {
  const listed = (section: string): [string, string | undefined][] => [...rowsOf(section)].map(([name, cells]) => [name, cells[1]]);
  const wanted = (...kinds: ('dependencies' | 'devDependencies' | 'optionalDependencies')[]): [string, string | undefined][] =>
    kinds.flatMap((kind) => Object.keys(declared[kind])).map((name) => [name, packages[`node_modules/${name}`]?.license]);
  const order = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1);
  expect(listed('Of the program').sort(order)).toEqual(wanted('dependencies', 'optionalDependencies').sort(order));
  expect(listed('Of development').sort(order)).toEqual(wanted('devDependencies').sort(order));
});

test('every package has its hash, and comes from the registry', () => {
  for (const [path, { integrity, resolved }] of Object.entries(packages)) {
    if (path === '') continue;
    expect([path, integrity?.startsWith('sha512-'), resolved?.startsWith('https://registry.npmjs.org/') ?? true]).toEqual([path, true, true]);
  }
});

test('the bill of materials names every package of the program once', async () => {
  const { stdout } = await promisify(execFile)('sh', [fileURLToPath(new URL('bin/sbom', root))], { maxBuffer: 2 ** 24 });
  const sbom = JSON.parse(stdout) as { bomFormat: string; components: { purl: string }[] };
  expect(sbom.bomFormat).toBe('CycloneDX');
  const wanted = Object.entries(packages).flatMap(([path, one]) =>
    path === '' || one.dev ? [] : [`pkg:npm/${nameOf(path).replace('@', '%40')}@${one.version}`],
  );
  expect([...new Set(sbom.components.map((one) => one.purl))].sort()).toEqual([...new Set(wanted)].sort());
});
