/**
 * What a document says instead of XML when a thing that is modelled cannot be built as asked: the host
 * reports it and leaves the thing alone. A refusal never hides the rest of the node's document.
 */
export interface Refusal {
  /** Stable, for programs. */
  readonly code:
    | 'method_without_libvirt'
    | 'pool_missing'
    | 'pool_has_no_secret'
    | 'cpu_model_missing'
    | 'secure_boot_needs_q35'
    | 'too_many_volumes'
    | 'lxc_volume'
    | 'lxc_limit'
    | 'network_missing'
    | 'parent_missing'
    | 'tag_missing'
    | 'routed_tagged';
  /** One sentence, for people. */
  readonly reason: string;
}

/** Libvirt XML, or why there is none. */
export type XmlOrRefusal = { readonly xml: string } | { readonly unsupported: Refusal };

/** A refusal as a value that `XmlOrRefusal` takes. */
export function refuse(code: Refusal['code'], reason: string): { readonly unsupported: Refusal } {
  return { unsupported: { code, reason } };
}
