import { Filter } from 'ldapts';

/** Whether text can be a login name at all: anything but control characters, within reason. */
export function isName(name: string): boolean {
  return name.trim() !== '' && name.length <= 256 && name.isWellFormed() && !/\p{Cc}/u.test(name);
}

/** The filter for one name: what is special in filters is escaped (RFC 4515), so that a name stays a value. */
export function userFilter(template: string, name: string): string {
  return template.replaceAll('{name}', () => Filter.escape(name));
}

/** A value of a distinguished name, escaped (RFC 4514). */
export function escapeDn(value: string): string {
  return value
    .replace(/[\\"+,;<>=]/g, '\\$&')
    .replaceAll('\0', '\\00')
    .replace(/^[ #]/, '\\$&')
    .replace(/(?<!^\\) $/, '\\ ');
}

/** Whether people bind with a DN; else with a name of the domain, `{name}@example.com` or `EXAMPLE\{name}`. */
export const bindsByDn = (template: string): boolean => template.includes('=');

/** Whom to bind as, by a template; nothing when the name cannot be part of it. */
export function bindName(template: string, name: string): string | undefined {
  if (bindsByDn(template)) return template.replace('{name}', () => escapeDn(name));
  return /[@\\/"[\]:;|=,+*?<>]/.test(name) ? undefined : template.replace('{name}', () => name);
}

/** The parts of a DN in a form that can be compared: without case, the spaces that mean nothing, and the choice of escapes. */
export function dnParts(dn: string): string[] {
  const plain = dn.replace(/((?:\\[0-9a-f]{2})+)|\\(.)/gi, (_, bytes: string | undefined, one: string) => {
    const text = bytes === undefined ? one : Buffer.from(bytes.replaceAll('\\', ''), 'hex').toString('utf8');
    return text.replace(/[\\,+";<>]/g, '\\$&');
  });
  const parts = plain.match(/(?:\\.|[^,\\])+/gs) ?? [];
  return parts.map((part) => part.replace(/ *= */g, '=').replace(/ +/g, ' ').trim().toLowerCase());
}

export const dnKey = (dn: string): string => dnParts(dn).join(',');

/** Whether a DN is the base or below it. */
export function isUnder(dn: string, base: string): boolean {
  const [parts, end] = [dnParts(dn), dnParts(base)];
  return parts.length >= end.length && end.every((part, at) => part === parts[parts.length - end.length + at]);
}
