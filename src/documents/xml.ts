/**
 * A small XML 1.0 element tree and its serialiser: the one place that writes XML.
 *
 * Why not a library: fast-xml-parser's builder tracks a path and validates a name for every element
 * and runs five regular expressions over every value; measured on the same 20,000 domains its
 * ordered form takes 3 s and its object form 4 s where this file takes 0.4 s (test/documents/speed.ts), it leaves characters that
 * XML 1.0 forbids as they are, and it writes line breaks in attributes raw, which a parser reads back
 * as blanks. The tests read what is written here with two independent parsers (fast-xml-parser, libxml2).
 */

/** What an attribute or a text may be made from; `null`, `undefined` and `false` leave it out. */
export type XmlValue = string | number | bigint | null | undefined | false;

/** One element. Text and elements are never mixed in one parent here: `children` is one or the other. */
export interface XmlElement {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, XmlValue>> | null;
  readonly children: readonly XmlChild[];
  /** Text by indentation, kept for elements that `fixed` made. */
  readonly kept?: Map<string, string>;
}

/** A child that is `null`, `undefined` or `false` is left out, so that conditions read inline. */
export type XmlChild = XmlElement | string | number | bigint | null | undefined | false;

/** An element. Tag and attribute names are written as given: they come from code, never from data. */
export function element(tag: string, attributes: Readonly<Record<string, XmlValue>> | null = null, ...children: readonly XmlChild[]): XmlElement {
  return { tag, attributes, children };
}

/** An element that is the same in every document: its text is made once. Only for constants of the code. */
export function fixed(constant: XmlElement): XmlElement {
  return { ...constant, kept: new Map() };
}

/**
 * The text of an element tree as libvirt prints it: indented by two blanks, attributes in single quotes
 * (in JSON they need no escape), no XML declaration, a line feed at the end. Characters that XML 1.0 has no way to hold become U+FFFD. Throws nothing.
 */
export function serialise(root: XmlElement): string {
  return write(root, '');
}

function write(node: XmlElement, indent: string): string {
  if (node.kept === undefined) return text(node, indent);
  let kept = node.kept.get(indent);
  if (kept === undefined) node.kept.set(indent, (kept = text(node, indent)));
  return kept;
}

function text(node: XmlElement, indent: string): string {
  let out = `${indent}<${node.tag}`;
  if (node.attributes !== null) {
    for (const name in node.attributes) {
      const value = node.attributes[name];
      if (value === null || value === undefined || value === false) continue;
      out += ` ${name}='${typeof value === 'string' ? escape(value) : String(value)}'`;
    }
  }
  let inner = '';
  let plain = false;
  for (const child of node.children) {
    if (child === null || child === undefined || child === false) continue;
    if (typeof child === 'object') {
      inner += write(child, `${indent}  `);
    } else {
      plain = true;
      inner += typeof child === 'string' ? escape(child) : String(child);
    }
  }
  if (inner === '') return `${out}/>\n`;
  return plain ? `${out}>${inner}</${node.tag}>\n` : `${out}>\n${inner}${indent}</${node.tag}>\n`;
}

const SPECIAL = /[&<>"'\u0000-\u001f\ud800-\udfff\ufffe\uffff]/;
// With the flag u a surrogate matches only when it has no partner.
const EACH = /[&<>"'\u0000-\u001f\ud800-\udfff\ufffe\uffff]/gu;

function escape(text: string): string {
  return SPECIAL.test(text) ? text.replace(EACH, replacement) : text;
}

/** XML 1.0, section 2.2 (characters) and 3.3.3 (why blanks in attributes need a reference). */
function replacement(character: string): string {
  switch (character) {
    case '&':
      return '&amp;';
    case '<':
      return '&lt;';
    case '>':
      return '&gt;';
    case '"':
      return '&quot;';
    case "'":
      return '&apos;';
    case '\t':
      return '&#9;';
    case '\n':
      return '&#10;';
    case '\r':
      return '&#13;';
    default:
      return '\ufffd';
  }
}
