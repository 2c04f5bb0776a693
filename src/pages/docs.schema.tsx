import { isRecord } from '../kernel/codec.ts';

export type Json = Readonly<Record<string, unknown>>;

const record = (value: unknown): Json => (isRecord(value) ? value : {});
export const list = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isRecord) : []);
export const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Follows a reference into the components. */
export function resolve(api: Json, schema: Json): { schema: Json; name: string | undefined } {
  const name = /^#\/components\/schemas\/(\w+)$/.exec(text(schema['$ref']))?.[1];
  if (name === undefined) return { schema, name };
  return { schema: record(record(record(api['components'])['schemas'])[name]), name };
}

/** A schema's type in a few words: `integer, 1 to 1024`, `KVM | QEMU`, `list of text`. */
export function typeOf(schema: Json): string {
  const any = list(schema['anyOf'] ?? schema['oneOf']);
  if (any.length > 0) return [...new Set(any.map(typeOf))].join(' or ');
  if (Array.isArray(schema['enum'])) return schema['enum'].map(String).join(' | ');
  const types = Array.isArray(schema['type']) ? schema['type'].map(String) : [text(schema['type']) || 'anything'];
  const base = types.map((type) => (type === 'string' ? 'text' : type === 'array' ? `list of ${typeOf(record(schema['items']))}` : type)).join(' or ');
  return base + bounds(schema);
}

function bounds(schema: Json): string {
  const most = Number.MAX_SAFE_INTEGER;
  const { minimum, maximum, maxLength, maxItems } = schema as { minimum?: number; maximum?: number; maxLength?: number; maxItems?: number };
  const low = minimum !== undefined && minimum > -most ? minimum : undefined;
  const high = maximum !== undefined && maximum < most ? maximum : undefined;
  if (low !== undefined && high !== undefined) return `, ${low} to ${high}`;
  if (low !== undefined) return `, at least ${low}`;
  if (high !== undefined) return `, at most ${high}`;
  if (maxLength !== undefined) return `, at most ${maxLength} characters`;
  return maxItems === undefined ? '' : `, at most ${maxItems}`;
}

/** The members of an object schema in rows; those of objects inside follow with their path. */
function members(schema: Json, prefix = '', depth = 0): { name: string; schema: Json; required: boolean }[] {
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  return Object.entries(record(schema['properties'])).flatMap(([name, value]) => {
    const inner = record(value);
    const object = [inner, record(inner['items']), ...list(inner['anyOf'])].find((one) => isRecord(one['properties']));
    const path = prefix + name;
    const own = { name: path, schema: inner, required: required.includes(name) };
    return object && depth < 3 ? [own, ...members(object, `${path}${object === inner['items'] ? '[].' : '.'}`, depth + 1)] : [own];
  });
}

/** A table of an object's fields. */
export const Schema = ({ schema, caption }: { schema: Json; caption: string }) => {
  const rows = members(schema);
  if (rows.length === 0) return <p class="muted">{typeOf(schema)}</p>;
  return (
    <table class="schema">
      <caption>{caption}</caption>
      <thead>
        <tr>
          <th scope="col">Field</th>
          <th scope="col">Type</th>
          <th scope="col">Meaning</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr>
            <th scope="row">
              <code>{row.name}</code>
              {row.required ? <span class="required"> required</span> : null}
            </th>
            <td>{typeOf(row.schema)}</td>
            <td>{text(row.schema['description']) || text(list(row.schema['anyOf'])[0]?.['description'])}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
};
