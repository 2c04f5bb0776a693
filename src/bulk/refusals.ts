import { Problem, type Fault } from '../kernel/problem.ts';
import { MAX_FAULTS, placed, type Operation } from './operations.ts';

/** What was refused so far. */
export class Refusals {
  readonly #faults: Fault[] = [];
  readonly #told: { operation: number | null; code: string; detail: string }[] = [];
  readonly #operations = new Set<Operation>();
  #first: Problem | undefined;

  /** @throws what is no refusal */
  add(operation: Operation | undefined, problem: unknown): void {
    if (!(problem instanceof Problem) || problem.status >= 500) throw problem;
    this.#first ??= problem;
    if (operation) this.#operations.add(operation);
    this.#faults.push(
      ...(operation ? placed(operation.index, operation.op, problem) : [{ pointer: problem.faults[0]?.pointer ?? '', message: problem.message }]),
    );
    this.#told.push({ operation: operation?.index ?? null, code: problem.code, detail: problem.message, ...problem.extra });
  }

  has(operation: Operation): boolean {
    return this.#operations.has(operation);
  }

  get none(): boolean {
    return this.#faults.length === 0;
  }

  /** No more are looked for. */
  get enough(): boolean {
    return this.#faults.length >= MAX_FAULTS;
  }

  /** @throws Problem of the code of the first, with the places of all, when there is any */
  end(): void {
    if (!this.#first) return;
    const faults = this.#faults.slice(0, MAX_FAULTS);
    const detail = faults.map((one) => `${one.pointer} ${one.message}`).join('; ');
    throw new Problem(this.#first.code, `Nothing was changed: ${detail}`, { faults, extra: { refused_operations: this.#told } });
  }
}
