/** A person as a directory or an identity provider describes them. */
export interface Directory {
  readonly source: 'ldap' | 'oidc';
  /** What stays the same when names change: a UUID of the entry, or issuer and subject. */
  readonly subject: string;
  readonly name: string;
  readonly full_name?: string;
  readonly email?: string;
  /** Of LDAP: the DN of every group, then their names; of OpenID Connect: the values of the claim. */
  readonly groups: readonly string[];
}
