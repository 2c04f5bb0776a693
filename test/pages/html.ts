/** A reader of the pages' own HTML: every tag closed or void, every attribute quoted. Throws where that is not so. */
export interface Element {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: (Element | string)[];
}

const voids = new Set(['area', 'br', 'col', 'hr', 'img', 'input', 'link', 'meta', 'source', 'wbr']);
const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

function decode(text: string): string {
  return text.replace(/&([#\w]+);/g, (whole, name: string) => {
    const found = entities[name];
    if (found === undefined) throw new Error(`unknown entity ${whole}`);
    return found;
  });
}

/** Parses a whole page. */
export function parse(html: string): Element {
  const root: Element = { tag: '', attributes: {}, children: [] };
  const stack: Element[] = [root];
  const token = /<!doctype html>|<\/([a-z][a-z0-9]*)>|<([a-z][a-z0-9]*)((?:\s+[a-zA-Z-]+="[^"<]*")*)\s*\/?>|([^<]+)/gy;
  for (;;) {
    const at = token.lastIndex;
    const match = token.exec(html);
    if (!match) {
      if (at === html.length) break;
      throw new Error(`not well-formed at ${at}: ${html.slice(at, at + 80)}`);
    }
    const [, close, open, attributes = '', text] = match;
    if (text !== undefined) stack.at(-1)!.children.push(decode(text));
    if (close !== undefined && stack.pop()?.tag !== close) throw new Error(`</${close}> closes another element at ${at}`);
    if (open === undefined) continue;
    const element: Element = {
      tag: open,
      attributes: Object.fromEntries([...attributes.matchAll(/([a-zA-Z-]+)="([^"]*)"/g)].map(([, name, value]) => [name!, decode(value!)])),
      children: [],
    };
    stack.at(-1)!.children.push(element);
    if (!voids.has(open)) stack.push(element);
  }
  if (stack.length !== 1) throw new Error(`<${stack.at(-1)!.tag}> is not closed`);
  return root;
}

/** All elements inside that pass, in order. */
export function all(from: Element, test: string | ((element: Element) => boolean)): Element[] {
  const pass = typeof test === 'string' ? (element: Element) => element.tag === test : test;
  return from.children.flatMap((child) => (typeof child === 'string' ? [] : [...(pass(child) ? [child] : []), ...all(child, pass)]));
}

export function text(element: Element): string {
  return element.children.map((child) => (typeof child === 'string' ? child : text(child))).join('');
}

/** The one form whose action begins so. */
export function formOf(page: Element, action: string): Element {
  const found = all(page, (element) => element.tag === 'form' && (element.attributes['action'] ?? '').startsWith(action));
  if (found.length !== 1) throw new Error(`${found.length} forms post to ${action}`);
  return found[0]!;
}

/** What a browser sends when the form is submitted as it stands. */
export function submission(form: Element): URLSearchParams {
  const out = new URLSearchParams();
  for (const control of all(form, (element) => ['input', 'select', 'textarea'].includes(element.tag))) {
    const { name, type, value = '', checked } = control.attributes;
    if (name === undefined) continue;
    if (control.tag === 'select') {
      const options = all(control, 'option');
      const chosen = options.find((option) => 'selected' in option.attributes) ?? options[0];
      if (chosen) out.append(name, chosen.attributes['value'] ?? text(chosen));
    } else if (control.tag === 'textarea') {
      out.append(name, text(control).replace(/^\n/, '').replace(/\r?\n/g, '\r\n'));
    } else if (type !== 'checkbox' || checked !== undefined) {
      out.append(name, value);
    }
  }
  return out;
}
