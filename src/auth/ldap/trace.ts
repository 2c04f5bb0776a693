import { failureOf, type LdapFailure, type Step } from './failure.ts';

/** A step that was taken, as `corral ldap test` shows it. */
export interface StepReport {
  readonly step: Step;
  readonly ok: boolean;
  readonly detail: string;
  /** Of one that failed: what to do. */
  readonly advice?: string;
}

/** Does one step and tells about it. Whatever it throws is a failure of that step. */
export type Trace = <T>(step: Step, work: () => Promise<T>, describe?: (value: T) => string) => Promise<T>;

export function tracing(tell: (report: StepReport) => void): Trace {
  return async (step, work, describe) => {
    try {
      const value = await work();
      tell({ step, ok: true, detail: describe?.(value) ?? '' });
      return value;
    } catch (error) {
      const failure: LdapFailure = failureOf(step, error);
      tell({ step, ok: false, detail: failure.message, advice: failure.advice });
      throw failure;
    }
  };
}
