import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Field, Model } from '../../src/db/catalog.ts';
import { testCorral } from '../support/corral.ts';

const FILE = fileURLToPath(new URL('../../docs/model.md', import.meta.url));
const corral = await testCorral();

function typeOf(field: Field): string {
  if (field.ref !== undefined) return `key of a ${field.ref.replaceAll('_', ' ')}`;
  if (field.choices) return field.choices.join(', ');
  return field.unit ? `${field.type}, ${field.unit}` : field.type;
}

function row(field: Field): string {
  const marks = [field.required ? 'needed' : '', field.immutable ? 'fixed' : '', field.readOnly ? 'read only' : '', field.writeOnly ? 'write only' : '', field.nullable ? 'may be null' : ''];
  return `| \`${field.name}\` | ${typeOf(field)} | ${marks.filter((mark) => mark !== '').join(', ')} | ${field.description.replaceAll('|', '\\|')} |`;
}

function section(model: Model): string {
  const { resource } = model;
  const parts = Object.entries(resource.parts ?? {}).map(([name, inner]) => `| \`${name}\` | ${Object.keys(inner).join(', ')} | needed |  Its parts, each with its own fields, written together with it. |`);
  const rules = Object.values(resource.constraints ?? {}).map((rule) => `- \`${rule.pointer.slice(1)}\` ${rule.message}.`);
  return [
    `### ${resource.title}`,
    `${resource.summary} Route \`/api/v1/${model.route}\`, key \`${resource.key.join(':')}\`.`,
    ['| field | what | | meaning |', '|---|---|---|---|', ...model.fields.map(row), ...parts].join('\n'),
    ...(rules.length > 0 ? [`Rules that the database keeps:\n\n${[...new Set(rules)].join('\n')}`] : []),
  ].join('\n\n');
}

function document(models: readonly Model[]): string {
  const areas = [...new Set(models.map((model) => model.resource.area))].filter((area) => area !== 'Lists');
  const text = [
    '# The model',
    'Made from the declarations in `src/modules`; a test compares the two (`UPDATE_DOCS=1 npm run unit test/docs` writes it anew). Every thing has also `id`, `version`, `created_at` and `updated_at`. *needed*: must be given when it is made; *fixed*: cannot be changed afterwards. Sizes and memory are bytes, bandwidth is bytes per second, times are RFC 3339 in UTC.',
    ...areas.map((area) => [`## ${area}`, ...models.filter((model) => model.resource.area === area).map(section)].join('\n\n')),
  ];
  return `${text.join('\n\n')}\n`;
}

test('docs/model.md says what the declarations say', () => {
  const text = document(corral.catalog.models);
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(FILE, text);
  expect(readFileSync(FILE, 'utf8')).toBe(text);
});
