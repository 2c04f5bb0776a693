/** How far the hosts are with a thing: judged from what is asked, what was served and what came back. */

export const convergenceStates = {
  failed: 'The last run on the newest document failed on it, or could not be compiled',
  pending: 'The host runs with --noop or test=True and would change it',
  waiting: 'Its host has not applied it yet',
  drifted: 'It was applied, and its host sees it otherwise now',
  stale: 'It was applied, and its host has not reported for long',
  pending_restart: 'It was applied as far as goes without a restart',
  held: 'Its host is switched off on purpose or deactivated, or another host must let go of it first',
  unknown: 'No host has it in its document',
  converged: 'It was applied, and nothing says otherwise',
} as const;

export type ConvergenceState = keyof typeof convergenceStates;

/** One property that differs, as the host package has it. */
export interface Difference {
  readonly property?: string | null;
  readonly current?: string | null;
  readonly wanted?: string | null;
  readonly reason?: string | null;
}

/** What is known of a thing on one host; times are RFC 3339 texts. */
export interface Known {
  /** Null: no host has it in its document. */
  readonly fqdn: string | null;
  readonly node_state: string;
  /** Kind and name on the host; undefined: the whole document is meant. */
  readonly kind: string | undefined;
  readonly name: string;
  readonly desired: string;
  /** The host that must let go of it first; empty: one that is not to be named. */
  readonly held: string | null;
  readonly changed_at: string;
  readonly current: string;
  readonly built_at: string;
  readonly status: string;
  readonly outcome: string | null;
  readonly message: string | null;
  readonly served: string | null;
  readonly served_at: string | null;
  readonly applied: string | null;
  readonly applied_at: string | null;
  readonly reported_at: string | null;
  readonly heartbeat_at: string | null;
  readonly running_since: string | null;
  readonly state: string | null;
  readonly pending: readonly Difference[] | null;
  readonly result: 'ok' | 'failed' | 'skipped' | 'noop' | null;
  readonly error: string | null;
  readonly result_at: string | null;
  readonly observed_at: string | null;
  /** Whether the entry that was applied is the one of the newest document; undefined: not known. */
  readonly same: boolean | undefined;
}

/** How far one host is. */
export interface HostConvergence {
  readonly node: string | null;
  readonly state: ConvergenceState;
  /** When what holds now was asked for. */
  readonly asked_at: string | null;
  /** When the run began that was given the newest document. */
  readonly served_at: string | null;
  readonly applied_at: string | null;
  readonly observed_at: string | null;
  readonly desired: string;
  readonly observed: string | null;
  /** What waits for the next start. */
  readonly pending: readonly Difference[];
  /** A sentence; null when converged. */
  readonly why_not: string | null;
}

/** The host that is furthest behind, and all of them where there are more. */
export interface Convergence extends HostConvergence {
  readonly hosts?: readonly HostConvergence[];
}

const minute = (at: string): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
const typeName = (kind: string): string => `Corral_${kind}`;

export function waitsFor(pending: readonly Difference[]): string {
  const texts = pending
    .slice(0, 5)
    .map((one) => (one.property ? `${one.property} ${one.current ?? '(none)'} → ${one.wanted ?? '(none)'}` : (one.reason ?? 'a change')));
  return `waits for a restart: ${texts.join(', ')}${pending.length > 5 ? ` and ${pending.length - 5} more` : ''}`;
}

function applies(one: Known): boolean {
  if (one.kind === undefined) return one.applied === one.current;
  if (one.result === 'failed' || one.result === 'skipped' || one.result === 'noop')
    /* A heartbeat may say that all was applied before the report of that run comes. */
    return one.applied === one.current && (one.applied_at ?? '') > (one.result_at ?? '');
  return one.applied === one.current || (one.result === 'ok' && (one.served === one.current || one.same === true));
}

function judge(one: Known): [ConvergenceState, string | null] {
  const { fqdn } = one;
  if (fqdn === null) return ['unknown', 'No host has it in its document'];
  if (one.node_state === 'deactivated') return ['held', `${fqdn} is deactivated, and its documents are not served`];
  if (one.held !== null && one.desired !== 'stopped') return ['held', `It waits until ${one.held || 'another host'} has removed it`];
  const thing = one.kind === undefined ? fqdn : `${typeName(one.kind)}[${one.name}]`;
  if (applies(one)) {
    if (one.kind === undefined && one.outcome === 'failed' && one.served === one.current)
      return ['failed', `The last run on ${fqdn} failed: ${one.message ?? 'see its report'}`];
    if (one.pending && one.pending.length > 0) return ['pending_restart', waitsFor(one.pending)];
    if (one.kind === undefined && one.status === 'pending_restart') return ['pending_restart', 'A virtual machine waits for a restart'];
    if (one.state !== null && one.state !== one.desired && (one.desired !== 'present' || one.state === 'absent'))
      return ['drifted', `${one.name} is ${one.state} on ${fqdn}, and is asked to be ${one.desired}`];
    if (one.status === 'stale') return ['stale', `${fqdn} has not reported since ${minute(one.reported_at!)}`];
    return ['converged', null];
  }
  const current = one.served === one.current;
  if (current && one.kind !== undefined && (one.result === 'failed' || one.result === 'skipped'))
    return [
      'failed',
      one.result === 'failed' ? `${thing} failed: ${one.error ?? 'see the report'}` : `${thing} was skipped: ${one.error ?? 'something that it needs failed'}`,
    ];
  if (current && one.kind === undefined && one.outcome === 'failed') return ['failed', `The last run on ${fqdn} failed: ${one.message ?? 'see its report'}`];
  if (current && (one.result === 'noop' || one.status === 'pending'))
    return ['pending', `${fqdn} runs without changing anything (--noop, test=True), and would change ${thing}`];
  if (one.node_state === 'stopped') return ['held', `${fqdn} is switched off on purpose`];
  if (one.status === 'stale') return ['waiting', `${fqdn} has not reported since ${minute(one.reported_at!)}`];
  if (one.status === 'compile_failed') return ['failed', `${fqdn} could not compile its configuration: ${one.message ?? 'see its report'}`];
  const asked = `this was asked in ${one.current}`;
  const running = one.running_since === null ? '' : `; a run is under way since ${minute(one.running_since)}`;
  if (one.status === 'never_reported' && one.applied === null) return ['waiting', `${fqdn} has never reported${running}`];
  const before = one.result === 'failed' && one.error !== null ? `; ${thing} failed in the run before: ${one.error}` : '';
  return ['waiting', `${fqdn} has applied ${one.applied ?? 'no document yet'}, ${asked}${running}${before}`];
}

/** How far a host is with one thing. */
export function hostConvergence(one: Known): HostConvergence {
  const [state, why_not] = judge(one);
  const done = one.fqdn !== null && applies(one);
  const own = one.kind !== undefined && one.result === 'ok';
  const applied_at = done ? (own ? (one.result_at ?? one.applied_at) : one.applied_at) : null;
  return {
    node: one.fqdn,
    state,
    asked_at:
      one.fqdn === null ? one.changed_at : one.kind === undefined || (!done && one.changed_at <= (one.applied_at ?? '')) ? one.built_at : one.changed_at,
    served_at: one.served === one.current ? one.served_at : null,
    applied_at,
    observed_at: one.state === null ? one.reported_at : one.kind === 'domain' ? (one.heartbeat_at ?? one.observed_at) : one.observed_at,
    desired: one.desired,
    observed: one.state ?? (done && one.kind !== undefined ? 'present' : null),
    pending: one.pending ?? [],
    why_not,
  };
}

const order = Object.keys(convergenceStates) as ConvergenceState[];

/** The hosts of one thing together: the worst leads. */
export function together(hosts: readonly HostConvergence[]): Convergence {
  const sorted = [...hosts].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
  return sorted.length > 1 ? { ...sorted[0]!, hosts: sorted } : sorted[0]!;
}
