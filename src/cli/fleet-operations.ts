import { CliError } from './exit.ts';
import type { ProblemBody } from './errors.ts';
import type { Noun } from './nouns.ts';

type Values = Record<string, unknown>;

export interface PutOperation {
  readonly op: 'put';
  readonly noun: string;
  readonly body: Values;
}

/** A fleet file as operations, and where in the file each came from. */
export interface FleetOperations {
  readonly operations: readonly PutOperation[];
  /** JSON pointers, e.g. `/vms/3`. */
  readonly places: readonly string[];
}

/** Nouns that are of no fleet, and what is said of them. */
const leftOut: Readonly<Record<string, string>> = {
  token: 'tokens are kept as hashes; make new ones with corral token create',
  tombstone: 'a tombstone is what one host still has to remove',
};

/** VLANs lie on bonds and cables, and cables are named by none: each after what it names. */
const order: Readonly<Record<string, number>> = { bond: 0, physical: 1, vlan: 2 };

/**
 * The rows of a fleet file as puts, each noun after those that it refers to.
 * @throws CliError usage with every place that is wrong in form
 */
export function fleetOperations(nouns: readonly Noun[], file: Values): FleetOperations {
  const faults: string[] = [];
  const known = new Map(nouns.map((noun) => [noun.plural, noun]));
  for (const [plural, rows] of Object.entries(file)) {
    const noun = known.get(plural);
    const why = !noun
      ? 'is no noun; corral get lists them (the plural, with underscores)'
      : (leftOut[noun.noun] ??
        (!noun.verbs.includes('create') || !noun.verbs.includes('set')
          ? 'cannot be written'
          : rows !== null && !Array.isArray(rows)
            ? 'must be a list of rows'
            : undefined));
    if (why !== undefined) faults.push(`  ${plural}  ${why}`);
  }
  const out: { operation: PutOperation; place: string }[] = [];
  for (const noun of nouns) {
    const rows = file[noun.plural];
    if (!Array.isArray(rows)) continue;
    const some: typeof out = [];
    for (const [i, row] of (rows as unknown[]).entries()) {
      if (typeof row === 'object' && row !== null && !Array.isArray(row))
        some.push({ operation: { op: 'put', noun: noun.noun, body: withoutDefaults(noun, row as Values) }, place: `/${noun.plural}/${i}` });
      else faults.push(`  ${noun.plural}.${i}  must be a mapping of fields to values`);
    }
    if (noun.noun === 'node_interface') some.sort((a, b) => rank(a.operation.body) - rank(b.operation.body));
    out.push(...some);
  }
  if (faults.length > 0) throw new CliError('usage', 'the fleet file is not of the form', faults);
  return { operations: out.map((one) => one.operation), places: out.map((one) => one.place) };
}

const rank = (body: Values): number => order[String(body['kind'] ?? 'physical')] ?? 1;

/** A fleet file may say that a subnet fills its pool of addresses; it does anyway. */
function withoutDefaults(noun: Noun, row: Values): Values {
  if (noun.noun !== 'subnet' || row['fill'] !== true) return row;
  const { fill: _usual, ...rest } = row;
  return rest;
}

/** A problem of the request, with its places in the file: `/operations/17/body/cores` is `/vms/3/cores`. */
export function inFile(problem: ProblemBody, places: readonly string[]): ProblemBody {
  const moved = (text: string): string => text.replaceAll(/\/operations\/(\d+)(?:\/body)?/g, (all, index: string) => places[Number(index)] ?? all);
  return {
    ...problem,
    ...(problem.detail === undefined ? {} : { detail: moved(problem.detail) }),
    ...(problem.errors ? { errors: problem.errors.map((one) => ({ pointer: moved(one.pointer), message: moved(one.message) })) } : {}),
  };
}
