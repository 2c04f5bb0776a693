/** What the tests of effects share: documents before and after their rows are edited. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { effectsOf } from '../../src/changes/effects.ts';
import { buildDocument } from '../../src/documents/document.ts';
import type { NodeAggregate } from '../../src/documents/types.ts';

export type Loose = { [key: string]: Loose } & Loose[] & { push(...items: unknown[]): number };
export type Edit = (aggregate: Loose) => void;

export const GiB = 1024 ** 3;
export const read = (name: string): NodeAggregate =>
  JSON.parse(readFileSync(new URL(`../../fixtures/documents/${name}/aggregate.json`, import.meta.url), 'utf8')) as NodeAggregate;

export const set = (thing: Loose | undefined, values: object): void => void Object.assign(thing as object, values);
export const hypervisor = (a: Loose): Loose => a['hypervisor']!;
export const vm = (a: Loose, id: number): Loose => hypervisor(a)['vms']!.find((one) => (one['id'] as unknown as number) === id)!;

/** What the host does when its rows are edited so, after they had been edited as `start`. */
export function effects(fixture: string, edit: Edit, start: Edit = () => undefined) {
  const before = structuredClone(read(fixture)) as unknown as Loose;
  start(before);
  const after = structuredClone(before);
  edit(after);
  const [one, other] = [before, after].map((side) => buildDocument(side as unknown as NodeAggregate).body);
  return effectsOf(one!, other!);
}

export interface Case {
  readonly what: string;
  /** The row of the table. */
  readonly rule?: string;
  readonly start?: Edit;
  readonly edit: Edit;
  readonly live?: readonly string[];
  readonly restart?: readonly string[];
}

/** Expects just these lines. */
export const check =
  (fixture: string) =>
  (one: Case): void => {
    const { acts, why, ...lines } = effects(fixture, one.edit, one.start);
    expect(lines).toEqual({ live: one.live ?? [], restart: one.restart ?? [] });
    expect(acts).toBe(true);
    expect(why).toBeUndefined();
  };
