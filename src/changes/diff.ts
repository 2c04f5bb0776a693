/** The difference of two documents: RFC 6902 for programs, unified YAML for people. Secrets are in neither. */
import { structuredPatch, type StructuredPatchHunk } from 'diff';
import { dump } from 'js-yaml';
import { createPatch, type Operation } from 'rfc6902';
import { put, type Json, type JsonObject } from '../documents/canonical.ts';
import { isObject } from '../documents/classes.ts';
import type { DocumentBody } from '../documents/document.ts';
import { redacted } from './redact.ts';

export interface BodyDifference {
  readonly patch: readonly object[];
  readonly text: string;
}

/** More differing lines than this are shown as taken away and added: finding the shortest way takes their square. */
const MOST_EDITS = 4000;

/**
 * What is other in `after`. Both sides are looked at only where they differ, so that a large document in
 * which little changed costs little.
 * @param names of the two sides, for the heading of the text
 */
export function difference(
  before: DocumentBody | null,
  after: DocumentBody | null,
  names: { readonly before: string; readonly after: string },
): BodyDifference {
  const [one, other] = redacted(before, after);
  const [left, right] = differing(one ?? {}, other ?? {}) ?? [{}, {}];
  return { patch: createPatch(left, right, lists), text: unified(left, right, names) };
}

/** Most items of a list that are compared one by one. */
const MOST_ITEMS = 100;

/**
 * The operations on a list. rfc6902 takes the product of both lengths (1.2 s for a thousand items), so what is the
 * same at both ends is left out first, and what is longer still is replaced.
 */
function lists(before: unknown, after: unknown, place: { toString(): string }): Operation[] | undefined {
  if (!Array.isArray(before) || !Array.isArray(after)) return undefined;
  const [one, other] = [before as Json[], after as Json[]];
  const short = Math.min(one.length, other.length);
  let head = 0;
  while (head < short && same(one[head], other[head])) head++;
  let tail = 0;
  while (tail < short - head && same(one.at(-1 - tail), other.at(-1 - tail))) tail++;
  const [left, right] = [one.slice(head, one.length - tail), other.slice(head, other.length - tail)];
  if (Math.max(left.length, right.length) > MOST_ITEMS) return [{ op: 'replace', path: place.toString(), value: after }];
  /* `-` is the end of the list, which here is the middle of one. */
  let length = left.length;
  return createPatch(left, right).map((step) => {
    const path = step.path.replace(/^\/(\d+|-)/, (_, at: string) => `/${(at === '-' ? length : Number(at)) + head}`);
    if (/^\/[^/]*$/.test(step.path)) length += step.op === 'add' ? 1 : step.op === 'remove' ? -1 : 0;
    return { ...step, path: place.toString() + path } as Operation;
  });
}

/**
 * Both values without the members of objects that are the same on both sides; undefined when they are the
 * same altogether. Lists are kept whole: a place in a list is its number.
 */
export function differing(before: Json, after: Json): readonly [Json, Json] | undefined {
  if (before === after) return undefined;
  if (!isObject(before) || !isObject(after)) return same(before, after) ? undefined : [before, after];
  const left: Record<string, Json> = {};
  const right: Record<string, Json> = {};
  let any = false;
  for (const key of Object.keys(before)) {
    const there = Object.hasOwn(after, key);
    const found = there ? differing(before[key]!, after[key]!) : undefined;
    if (there && found === undefined) continue;
    any = true;
    put(left, key, found === undefined ? before[key]! : found[0]);
    if (found !== undefined) put(right, key, found[1]);
  }
  for (const key of Object.keys(after)) {
    if (Object.hasOwn(before, key)) continue;
    any = true;
    put(right, key, after[key]!);
  }
  return any ? [left, right] : undefined;
}

/** Whether two values are the same data. */
export function same(one: Json | undefined, other: Json | undefined): boolean {
  if (one === other) return true;
  if (Array.isArray(one) && Array.isArray(other)) return one.length === other.length && one.every((item, i) => same(item, other[i]));
  if (!isObject(one) || !isObject(other)) return false;
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every((key) => Object.hasOwn(other, key) && same(one[key], other[key]));
}

const yaml = (value: Json): string => (isObject(value) && Object.keys(value).length === 0 ? '' : dump(value, { noRefs: true, lineWidth: -1, sortKeys: true }));

function unified(before: JsonObject | Json, after: JsonObject | Json, names: { readonly before: string; readonly after: string }): string {
  const [left, right] = [yaml(before), yaml(after)];
  if (left === right) return '';
  const made = structuredPatch(names.before, names.after, left, right, undefined, undefined, { context: 3, maxEditLength: MOST_EDITS });
  const hunks = made?.hunks ?? [replaced(left, right)];
  const lines = [left.split('\n'), right.split('\n')] as const;
  const out = [`--- ${names.before}`, `+++ ${names.after}`];
  for (const hunk of hunks) {
    out.push(`@@ -${hunk.oldStart},${hunk.oldLines} +${hunk.newStart},${hunk.newLines} @@${placeOf(hunk, lines)}`);
    out.push(...hunk.lines.filter((line) => !line.startsWith('\\')));
  }
  return `${out.join('\n')}\n`;
}

function replaced(left: string, right: string): StructuredPatchHunk {
  const [old, now] = [left, right].map((text) => text.split('\n').slice(0, -1)) as [string[], string[]];
  const lines = [...old.map((line) => `-${line}`), ...now.map((line) => `+${line}`)];
  return { oldStart: 1, oldLines: old.length, newStart: 1, newLines: now.length, lines };
}

const KEY = /^( *)("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s<"'#-][^\s:]*(?:::?[^\s:]+)*):(?: |$)/;

/** Where a hunk lies, as git names the function: the keys above its first line. */
function placeOf(hunk: StructuredPatchHunk, [left, right]: readonly [readonly string[], readonly string[]]): string {
  const [lines, first] = hunk.oldLines > 0 ? [left, hunk.oldStart] : [right, hunk.newStart];
  const path: string[] = [];
  let indent = (/^ */.exec(lines[first - 1] ?? '')?.[0] ?? '').length;
  for (let at = first - 2; at >= 0 && indent > 0; at--) {
    const found = KEY.exec(lines[at]!);
    if (!found || found[1]!.length >= indent) continue;
    indent = found[1]!.length;
    path.unshift(found[2]!.replaceAll(/^["']|["']$/g, ''));
  }
  return path.length === 0 ? '' : ` ${path.join('.')}`;
}
