import type { Noun, Shape } from '../cli/nouns.ts';

const VERBS = ['list', 'get', 'create', 'set', 'put', 'delete', 'count'];

/** What completes a line: the words, and the part of the line that they replace. */
export type Completion = readonly [readonly string[], string];

/**
 * Completes nouns, verbs, and within the object of a verb its fields and their values.
 * @returns undefined where the line is about something else
 */
export function completeLine(nouns: readonly Noun[], line: string): Completion | undefined {
  const call = lastCall(nouns, line);
  if (call) return completeObject(call.noun, call.verb, call.rest);
  const verb = /(?:^|[^\w.])([a-z_]+)\.(\w*)$/.exec(line);
  if (verb && nouns.some((one) => one.plural === verb[1])) return [starting(VERBS, verb[2]!), verb[2]!];
  const word = /(?:^|[^\w.'"`])([a-z_]*)$/.exec(line)?.[1];
  if (word === undefined || /['"`][^'"`]*$/.test(line)) return undefined;
  return [
    starting(
      nouns.map((one) => one.plural),
      word,
    ),
    word,
  ];
}

function starting(words: readonly string[], start: string): string[] {
  return words.filter((one) => one.startsWith(start));
}

/** The call whose object the line ends in. */
function lastCall(nouns: readonly Noun[], line: string): { noun: Noun; verb: string; rest: string } | undefined {
  const match = /.*(?:^|[^\w.])([a-z_]+)\.(list|count|create|set|put)\(((?:(?!\)\s*[;.]).)*)$/s.exec(line);
  const noun = nouns.find((one) => one.plural === match?.[1]);
  return match && noun && match[3]!.includes('{') ? { noun, verb: match[2]!, rest: match[3]! } : undefined;
}

function completeObject(noun: Noun, verb: string, rest: string): Completion | undefined {
  const path = openPath(rest);
  if (!path) return undefined;
  const value = /([A-Za-z_]\w*)\s*:\s*\[?(?:'[^']*',\s*)*'([^']*)$/.exec(rest);
  if (value) {
    const shape = shapeAt(noun, [...path, value[1]!]);
    const field = noun.fields.find((one) => one.name === value[1]!.replace(/__[a-z]+$/, ''));
    return [starting(shape?.choices ?? shape?.items?.choices ?? field?.choices ?? [], value[2]!), value[2]!];
  }
  const name = /[{,]\s*(\w*)$/.exec(rest)?.[1];
  if (name === undefined) return undefined;
  const known =
    verb === 'list' || verb === 'count' ? noun.fields.flatMap((one) => one.operators.map((suffix) => one.name + suffix)) : Object.keys(propsAt(noun, path));
  return [starting(known, name), name];
}

function propsAt(noun: Noun, path: readonly string[]): Readonly<Record<string, Shape>> {
  const shape = shapeAt(noun, path);
  return shape?.props ?? shape?.items?.props ?? {};
}

function shapeAt(noun: Noun, path: readonly string[]): Shape | undefined {
  let at: Shape | undefined = { type: 'object', props: noun.write };
  for (const name of path) at = at?.props?.[name] ?? at?.items?.props?.[name];
  return at;
}

/** The names of the objects that are open at the end: `{roles: {hypervisor: {` gives roles, hypervisor. */
function openPath(text: string): string[] | undefined {
  const stack: (string | undefined)[] = [];
  const bare = text.replaceAll(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/g, "''");
  for (const match of bare.matchAll(/(?:([A-Za-z_]\w*)\s*:\s*)?([{[])|[}\]]/g)) {
    if (match[2] === undefined) stack.pop();
    else stack.push(match[1]);
  }
  return stack.length === 0 ? undefined : stack.filter((one) => one !== undefined);
}
