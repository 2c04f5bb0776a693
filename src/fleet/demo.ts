import { readFileSync } from 'node:fs';
import type { Store } from '../db/transaction.ts';
import { importFleet } from './import.ts';

/** The fleet that a new Corral begins with. */
export async function loadDemo(store: Store): Promise<void> {
  await importFleet({ store }, fleetFile('demo'));
}

/** The text of a fleet that comes with Corral; src/ and dist/ lie side by side. */
export function fleetFile(name: 'demo' | 'small'): string {
  return readFileSync(new URL(`../../fixtures/fleets/${name}.yaml`, import.meta.url), 'utf8');
}
