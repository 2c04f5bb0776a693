import type pg from 'pg';
import type { Config, LoadedConfig } from '../kernel/config.ts';

export type Verdict = 'ok' | 'warn' | 'fail';

/** What a check found. Never a secret. */
export interface Finding {
  readonly verdict: Verdict;
  readonly says: string;
  /** What to do about it. */
  readonly mend?: string;
}

/** What checks look at. */
export interface Patient {
  readonly config: Config;
  readonly sources: LoadedConfig['sources'];
  /** The file of CORRAL_CONFIG. */
  readonly file: string | undefined;
  /** The database; undefined: none can be reached. */
  readonly db: Pick<pg.Client, 'query'> | undefined;
  /** It is the one that Corral starts itself. */
  readonly embedded: boolean;
  readonly now: Date;
}

/** A check: gives nothing where it does not apply. */
export interface Check {
  readonly name: string;
  readonly needsDatabase?: boolean;
  readonly run: (patient: Patient & { readonly db: Pick<pg.Client, 'query'> }) => Promise<readonly Finding[]> | readonly Finding[];
}

export const ok = (says: string): Finding => ({ verdict: 'ok', says });
export const warn = (says: string, mend: string): Finding => ({ verdict: 'warn', says, mend });
export const fail = (says: string, mend: string): Finding => ({ verdict: 'fail', says, mend });

export const DAY = 86_400_000;

/** A few names, and how many more there are. */
export function some(names: readonly string[], most = 5): string {
  return names.length <= most ? names.join(', ') : `${names.slice(0, most).join(', ')} and ${names.length - most} more`;
}

export const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;
