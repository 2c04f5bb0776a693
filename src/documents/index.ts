/** Documents: what the rest of Corral uses of this folder. Pure: no I/O, no clock, no environment. */
export { buildDocument, type DocumentBody, type NodeDocument, type Role } from './document.ts';
export { headOf } from './classes.ts';
export { encOf, type Enc } from './enc.ts';
export { escapeHiera, hieraOf } from './hiera.ts';
export { pillarOf } from './pillar.ts';
export { topsOf } from './tops.ts';
export { toYaml } from './yaml.ts';
export type { Json, JsonObject } from './canonical.ts';
export type { NodeAggregate } from './types.ts';
