import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../../kernel/problem.ts';

/** Milliseconds: a refused login is answered so long after it began, or a whole multiple of that where it took longer. */
export const REFUSE_AFTER = 1000;

/** Waits; a test may say when it is over. */
export type Pause = (milliseconds: number) => Promise<unknown>;

/**
 * Does what may be refused, and lets all refusals take alike, whatever the reason: how long one takes then says not
 * whether there is somebody of that name, here or in the directory. The work is over before the pause begins, so that
 * nobody holds a connection meanwhile. Who comes too often hears at once: that is counted for every name alike.
 */
export async function refuseAlike<T>(work: () => Promise<T>, after = REFUSE_AFTER, pause: Pause = sleep): Promise<T> {
  const begun = performance.now();
  try {
    return await work();
  } catch (error) {
    if (after > 0 && !(error instanceof Problem && error.code === 'too-many-attempts')) {
      const took = performance.now() - begun;
      await pause(Math.ceil(took / after) * after - took);
    }
    throw error;
  }
}
