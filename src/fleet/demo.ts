import type { Store } from '../db/write.ts';

/** The fleet that a new Corral begins with. */
export async function loadDemo(_store: Store): Promise<void> {}
