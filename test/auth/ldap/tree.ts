export const BASE = 'dc=example,dc=com';
export const PEOPLE = `ou=people,${BASE}`;
export const GROUPS = `ou=groups,${BASE}`;

const escaped = (text: string): string => text.replace(/[\\",+;<>=]|^#/g, '\\$&');
const line = (name: string, value: string): string =>
  /^[\x21-\x39\x3b\x3d-\x7e][\x20-\x7e]*$/.test(value) ? `${name}: ${value}` : `${name}:: ${Buffer.from(value).toString('base64')}`;

export const personDn = (uid: string): string => `uid=${escaped(uid)},${PEOPLE}`;
export const groupDn = (cn: string, base = GROUPS): string => `cn=${escaped(cn)},${base}`;

/** An entry of a person; the password is `<uid>-secret`. */
export function person(uid: string, more: Record<string, string> = {}): string {
  const values = { uid, cn: `${uid} Lovelace`, sn: 'Lovelace', mail: `${uid.replace(/[^\w]/g, '')}@example.com`, userPassword: `${uid}-secret`, ...more };
  return [line('dn', personDn(uid)), 'objectClass: inetOrgPerson', ...Object.entries(values).map(([name, value]) => line(name, value)), ''].join('\n');
}

export function group(cn: string, members: readonly string[], base = GROUPS, unique = false): string {
  const [kind, attribute] = unique ? ['groupOfUniqueNames', 'uniqueMember'] : ['groupOfNames', 'member'];
  return [line('dn', groupDn(cn, base)), `objectClass: ${kind}`, line('cn', cn), ...members.map((one) => line(attribute, one)), ''].join('\n');
}

export function tree(...entries: readonly string[]): string {
  const unit = (dn: string, ou: string): string => `dn: ${dn}\nobjectClass: organizationalUnit\nou: ${ou}\n`;
  return [
    `dn: ${BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n`,
    `dn: cn=corral,${BASE}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: corral\nuserPassword: corral-secret\n`,
    unit(PEOPLE, 'people'),
    unit(GROUPS, 'groups'),
    unit(`ou=elsewhere,${BASE}`, 'elsewhere'),
    ...entries,
  ].join('\n');
}
