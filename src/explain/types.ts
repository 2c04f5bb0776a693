/** Where a value of a node's documents comes from, as the API answers it. */
import type { Json } from '../documents/canonical.ts';
import type { Outcome, Scope, Strategy } from '../documents/layers.ts';

/** What a value is: a class, a parameter that a class is declared with, a top-scope variable, the environment, or a key of Hiera and pillar. */
export type Kind = 'class' | 'class_parameter' | 'parameter' | 'environment' | 'data';

/** Where the documents have a value, by envelope. */
export interface Places {
  /** A JSON pointer into the ENC answer. */
  readonly enc?: string;
  /** The key of Hiera. */
  readonly hiera?: string;
  /** Where Salt's pillar has it, with colons as Salt writes them. */
  readonly pillar?: string;
  /** The state that the tops name. */
  readonly tops?: string;
}

/** A change, as far as it says who, when and why. */
export interface ChangeNote {
  readonly number: number;
  readonly at: string;
  readonly actor: string;
  readonly message: string | null;
}

/** The oldest version of the document from which on a value has been as it is. */
export interface Since {
  readonly version: string;
  readonly built_at: string;
  /** The change that gave that version; null: it is older than what is kept, or an upgrade gave it. */
  readonly change: ChangeNote | null;
  /** Older versions were not looked at, or are no longer kept. */
  readonly or_earlier: boolean;
}

/** A layer, and whether it reaches the node. */
export interface LayerNote {
  readonly layer: string;
  readonly scope: Scope;
  readonly target: string | null;
  readonly weight: number;
  readonly reaches: boolean;
  readonly because: string;
}

/** What one layer gave for one value. */
export interface Looked extends LayerNote {
  readonly outcome: Outcome | 'out_of_reach';
  /** Not there where the layer is silent; of a secret `(secret)`. */
  readonly value?: Json;
  readonly secret: boolean;
  /** The change that set it; null: the layer is silent, or it was set before changes were kept. */
  readonly change: ChangeNote | null;
}

export interface ExplainedValue {
  readonly kind: Kind;
  /** The class, class::parameter, the variable, or the key. */
  readonly key: string;
  readonly places: Places;
  /** Of a secret, or where one is part of it, `(secret)`. */
  readonly value: Json;
  readonly secret: boolean;
  readonly source: 'model' | 'layers';
  /** Of the model: the nouns that it is made from. */
  readonly from: readonly string[];
  readonly strategy: Strategy;
  /** Layers that declare the strategy; none: it is the default. */
  readonly declared_by: readonly string[];
  /** Layers of the same scope and weight give different values: their names decided. */
  readonly conflict: boolean;
  /** The layers that are the value, or part of it. */
  readonly won: readonly string[];
  /** Those that were looked at, in order; of one key also those that set it and do not reach the node. */
  readonly layers: readonly Looked[];
  readonly since: Since;
  /** What else there is to know, in sentences. */
  readonly notes: readonly string[];
}

export interface Explanation {
  readonly node: string;
  readonly version: string;
  readonly manager: 'puppet' | 'salt';
  /** What was asked for; not there: everything. */
  readonly key?: string;
  /** The layers that reach the node, in the order in which they are looked at. */
  readonly layers: readonly LayerNote[];
  readonly values: readonly ExplainedValue[];
}
