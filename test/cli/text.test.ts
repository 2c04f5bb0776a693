import { expect, it } from 'vitest';
import { closest } from '../../src/cli/exit.ts';
import { duration, progressText } from '../../src/cli/progress.ts';
import { humanBytes } from '../../src/cli/show.ts';
import { clean, fit, table, widthOf } from '../../src/cli/text.ts';
import { hidden } from '../../src/cli/errors.ts';

it('fits a table into the terminal, and leaves it whole without one', () => {
  const columns = [{ title: 'name' }, { title: 'n', right: true }, { title: 'text' }];
  const rows = [
    ['a', '10', 'x'.repeat(50)],
    ['b', '9', 'y'],
  ];
  const lines = table(columns, rows, { width: 30 }).split('\n');
  expect(lines[0]).toBe('NAME   N  TEXT');
  expect(lines[1]).toBe(`a     10  ${'x'.repeat(19)}…`);
  expect(lines[2]).toBe('b      9  y');
  expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(30);
  expect(table(columns, rows)).toContain('x'.repeat(50));
});

it('lets no text steer the terminal', () => {
  expect(clean('a\u001b[31mb\nc\td\u202ee')).toBe('a\\u001b[31mb\\nc\\td\\u202ee');
});

it('measures what takes two columns or none', () => {
  expect(widthOf('日本')).toBe(4);
  expect(widthOf('e\u0301')).toBe(1);
  expect(fit('日本語', 5)).toBe('日本…');
});

it('says sizes and times for people', () => {
  expect([0, 1023, 1024, 1536, 2 ** 31, 10 ** 12].map(humanBytes)).toEqual(['0 B', '1023 B', '1 KiB', '1.5 KiB', '2 GiB', '931.3 GiB']);
  expect([1.25, 59, 125].map(duration)).toEqual(['1.3 s', '59 s', '2 min 5 s']);
  expect(progressText('importing', 50, 200, 5, false)).toBe('importing 25% 50/200 10/s 15 s to go');
  expect(progressText('importing', 200, 200, 5, true)).toBe(`importing [${'#'.repeat(30)}] 100% 200/200 40/s 5.0 s`);
});

it('suggests what is near, and nothing else', () => {
  expect(closest('nods', ['nodes', 'vms'])).toBe('nodes');
  expect(closest('vsm', ['nodes', 'vms'])).toBe('vms');
  expect(closest('elephant', ['nodes', 'vms'])).toBeUndefined();
});

it('hides passwords', () => {
  expect(hidden('postgres://u:secret@db/corral')).toBe('postgres://u:***@db/corral');
  expect(hidden('postgres:///corral?password=secret&host=/run')).toBe('postgres:///corral?password=***&host=/run');
});
