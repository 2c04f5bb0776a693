import type { Corral } from '../corral.ts';

/**
 * Runs work on the database itself: the one of DATABASE_URL, or the embedded one of CORRAL_DATA, which is
 * started when no server runs on it and joined when one does.
 */
export async function withCorral<T>(work: (corral: Corral) => Promise<T>): Promise<T> {
  const { loadConfig } = await import('../kernel/config.ts');
  const { openCorral } = await import('../corral.ts');
  const { config } = loadConfig(process.env);
  const corral = await openCorral(config, { attach: true });
  try {
    return await work(corral);
  } finally {
    await corral.close();
  }
}
