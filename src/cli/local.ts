import { userInfo } from 'node:os';
import type { Corral } from '../corral.ts';

/** How work on the database itself is meant. */
export interface Local {
  /** What the person works with: part of the actor of the changes. */
  readonly tool?: 'cli' | 'console';
  /** Why, as the changes will say. */
  readonly message?: string | undefined;
}

/**
 * Runs work on the database itself: the one of DATABASE_URL, or the embedded one of CORRAL_DATA, which is
 * started when no server runs on it and joined when one does. What it changes is a change of `cli:<user>`.
 */
export async function withCorral<T>(work: (corral: Corral) => Promise<T>, { tool = 'cli', message }: Local = {}): Promise<T> {
  const { loadConfig } = await import('../kernel/config.ts');
  const { openCorral } = await import('../corral.ts');
  const { withOrigin } = await import('../db/transaction.ts');
  const { config } = loadConfig(process.env);
  const corral = await openCorral(config, { attach: true });
  try {
    return await work({ ...corral, store: withOrigin(corral.store, { actor: `${tool}:${user()}`, message }) });
  } finally {
    await corral.close();
  }
}

/** Who runs this; a container may run it as a user without a name. */
function user(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}
