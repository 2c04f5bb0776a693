import type { Noun, Shape } from '../cli/nouns.ts';
import { table, terminalWidth } from '../cli/text.ts';

/** What `.help` shows. */
export const HELP = `Every noun has the verbs list, get, create, set, put, delete and count; they are those of the API.
What a line promises is waited for; await works everywhere.

  vms.list({cores__gte: 4, state: 'running'})
  vms.list({hypervisor: 'hv1.example.com'}, {sort: '-ram', limit: 10, fields: 'name,ram'})
  vms.get(7)
  vms.create({name: 'web', cores: 4, ram: 2 * 2 ** 30, method: 'KVM'})
  vms.set(7, {state: 'stopped'})
  nodes.put('hv9.example.com', {site: 'fra1', roles: {ceph_mon: {}}})
  vms.delete(7)
  for (const vm of await vms.list({state: 'stopped'}, {all: true})) await vms.set(vm.id, {state: 'running'})
  sql\`select state, count(*) from vm group by state\`

  .noun            the nouns
  .noun vms        the fields of one
  .sql on          show the SQL that runs
  .editor          write several lines
  .load file       run a file
  .exit            leave`;

/** The fields of a noun, for people. */
export function nounHelp(noun: Noun): string {
  const rows = rowsOf(noun.write, '', new Set(noun.required));
  return `${noun.summary}\nKey: ${noun.key.join(':')}\n\n${table([{ title: 'field' }, { title: 'type' }, { title: '' }, { title: 'meaning' }], rows, { width: terminalWidth() })}`;
}

function rowsOf(props: Readonly<Record<string, Shape>>, prefix: string, required: ReadonlySet<string>): string[][] {
  return Object.entries(props).flatMap(([name, shape]) => [
    [prefix + name, typeOf(shape), required.has(name) ? 'needed' : '', shape.description ?? ''],
    ...rowsOf(shape.props ?? {}, `${prefix}${name}.`, new Set()),
  ]);
}

function typeOf(shape: Shape): string {
  if (shape.ref !== undefined) return `→ ${shape.ref}`;
  if (shape.choices) return shape.choices.join('|');
  return shape.unit ?? (shape.items ? `${typeOf(shape.items)}[]` : shape.type);
}
