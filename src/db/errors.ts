import { Problem, type Fault } from '../kernel/problem.ts';
import type { Catalog, Model } from './catalog.ts';

interface DriverError {
  readonly code?: string;
  readonly constraint?: string;
  readonly table?: string;
  readonly detail?: string;
  readonly column?: string;
}

/**
 * Whether the transaction may be run again: it lost against another one.
 * @param planning it took ids without taking them from their sequences, so that somebody else may have got them
 */
export function isRetryable(error: unknown, constraints: readonly string[] = [], planning = false): boolean {
  const { code, constraint } = driverError(error);
  if (code === '40001' || code === '40P01') return true;
  return constraint !== undefined && (constraints.includes(constraint) || (planning && code === '23505' && constraint.endsWith('_pkey')));
}

/** The driver's own error: MikroORM and Kysely wrap it. */
export function driverError(error: unknown): DriverError {
  let at = error;
  for (let depth = 0; depth < 5 && typeof at === 'object' && at !== null; depth++) {
    const found = at as DriverError & { cause?: unknown; previous?: unknown };
    if (typeof found.code === 'string') return found;
    at = found.cause ?? found.previous;
  }
  return {};
}

/**
 * Turns what PostgreSQL refused into a problem that names the field. What is not a refusal of input
 * comes back unchanged.
 */
export function toProblem(error: unknown, catalog: Catalog, model: Model | undefined): unknown {
  if (error instanceof Problem) return error;
  const { code, constraint = '', table = '', detail = '', column = '' } = driverError(error);
  if (code === undefined) {
    /* pg's own errors about a broken connection have no code. */
    const broken =
      error instanceof Error && /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/.test(error.message);
    return broken ? unavailable(error) : error;
  }
  const owner = catalog.models.find((one) => one.table === table) ?? model;
  const known = model?.resource.constraints?.[constraint] ?? owner?.resource.constraints?.[constraint] ?? anyConstraint(catalog, constraint);
  const faults = (message: string, pointer?: string): readonly Fault[] => [{ pointer: pointer ?? known?.pointer ?? '', message: known?.message ?? message }];
  const refuse = (kind: 'invalid' | 'conflict' | 'already-exists' | 'in-use', list: readonly Fault[]): Problem =>
    new Problem(kind, list.map((one) => `${one.pointer ? `${one.pointer} ` : ''}${one.message}`).join('; '), { faults: list, cause: error });
  switch (code) {
    case '23505': {
      if (known) return refuse('conflict', faults(''));
      const columns = /^Key \(([^)]+)\)=/.exec(detail)?.[1]?.split(', ') ?? [];
      const names = columns.map((name) => owner?.fields.find((field) => field.column === name)?.name ?? name);
      const what = owner?.resource.title.toLowerCase() ?? 'thing';
      return refuse(
        'already-exists',
        names.map((name) => ({ pointer: `/${name}`, message: `another ${what} has this ${names.join(' and ')} already` })),
      );
    }
    case '23503': {
      const used = /still referenced from table "(\w+)"/.exec(detail)?.[1];
      const user = catalog.models.find((one) => one.table === used);
      if (used)
        return refuse('in-use', [
          { pointer: '', message: `it is still used by ${user ? `a ${user.resource.title.toLowerCase()}` : used}; change or delete that first` },
        ]);
      const name = /^Key \(([^)]+)\)=/.exec(detail)?.[1] ?? '';
      return refuse('invalid', [{ pointer: `/${owner?.fields.find((field) => field.column === name)?.name ?? name}`, message: 'does not exist' }]);
    }
    case '23514': {
      const quota = /^(customer|project)_quota_([a-z]+)$/.exec(constraint);
      if (quota)
        return new Problem('quota-exceeded', `The quota of the ${quota[1]} does not allow so much: quota_${quota[2]}`, {
          extra: { quota: `quota_${quota[2]}` },
          cause: error,
        });
      return refuse(/promised|space|has_role|with_vm|overlap/.test(constraint) ? 'conflict' : 'invalid', faults(`the rule ${constraint} is not kept`));
    }
    case '23502':
      return refuse('invalid', faults('must not be null', `/${owner?.fields.find((field) => field.column === column)?.name ?? column}`));
    case '57014':
      return new Problem('unavailable', 'The database took too long; try again', { cause: error });
    default:
      /* Class 22, data exception: wrong form, out of range, not a character of the encoding. */
      if (code.startsWith('22')) return new Problem('bad-request', 'A value is not of the type that its field has, or too large for it', { cause: error });
      if (/^(08|57P|53)/.test(code) || ['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'].includes(code)) {
        return unavailable(error);
      }
      return error;
  }
}

function unavailable(cause: unknown): Problem {
  return new Problem('unavailable', 'The database cannot be reached just now; nothing was changed unless an answer said so. Try again', { cause });
}

function anyConstraint(catalog: Catalog, name: string): Fault | undefined {
  for (const model of catalog.models) {
    const found = model.resource.constraints?.[name];
    if (found) return found;
  }
  return undefined;
}
