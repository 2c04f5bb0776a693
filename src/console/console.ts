import type { Corral } from '../corral.ts';
import type { Db } from '../db/read.ts';
import { runSession, type SessionOptions } from './session.ts';

/** Takes the sandbox's transaction back. */
class RolledBack extends Error {}

/**
 * A console on an open Corral. In the sandbox everything, the verbs and what they read, happens in one
 * transaction that is rolled back at the end.
 * @returns whether all went well
 */
export async function runConsole(corral: Corral, options: SessionOptions): Promise<boolean> {
  if (!options.sandbox) return runSession(corral, options);
  let fine = false;
  try {
    await corral.orm.em.fork().transactional(async (em) => {
      const within: Corral = { ...corral, store: { ...corral.store, within: em }, db: () => em.getKysely() as unknown as Db };
      fine = await runSession(within, options);
      throw new RolledBack();
    });
  } catch (error) {
    if (!(error instanceof RolledBack)) throw error;
  }
  process.stderr.write('Sandbox: all was rolled back.\n');
  return fine;
}
