import { Problem } from '../kernel/problem.ts';
import type { ChangeRow } from './changes.ts';

/** What a write would do, or did: the same for a dry run and for the write itself. */
export interface Plan {
  /** `sha256:<hex>` of the effect. What is made anew each time (ids, uuids, secrets, times) is not part of it. */
  readonly digest: string;
  readonly rows: readonly ChangeRow[];
  readonly documents: readonly PlannedDocument[];
  readonly hosts: readonly PlannedHost[];
}

/** A document that would be another. */
export interface PlannedDocument {
  readonly node: string;
  /** Its version before; null: it has none. */
  readonly before: string | null;
  readonly after: string;
  /** RFC 6902, on the body; secrets are `(secret)`. */
  readonly patch: readonly object[];
  /** The same for people: a unified difference of YAML. */
  readonly text: string;
}

/** What a host would do about its new document. */
export interface PlannedHost {
  readonly node: string;
  readonly manager: 'puppet' | 'salt';
  /** Whether its agent acts on the change at all. */
  readonly acts: boolean;
  /** Why it does not. */
  readonly why?: string;
  /** What is done at once, a line each. */
  readonly live: readonly string[];
  /** What waits for the next start of a domain. */
  readonly restart: readonly string[];
}

/** The refusal of a write whose effect is no longer the planned one, with what it would be now. */
export function planChanged(plan: Plan): Problem {
  return new Problem('plan-changed', 'The effect is no longer the one that was planned; look at the new plan, and send its digest', { extra: { plan } });
}
