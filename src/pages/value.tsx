import type { Child } from 'hono/jsx';
import type { Catalog, Field, Model } from '../db/catalog.ts';
import { keyOf, type Row } from '../db/read.ts';
import { isRecord } from '../kernel/codec.ts';
import { keyHref, titleOf } from './link.ts';
import { bytesShort, count, isRate, labelOf } from './words.ts';

const tones: Readonly<Record<string, string>> = {
  running: 'good',
  stopped: 'off',
  shutoff: 'off',
  shutdown: 'off',
  unknown: 'off',
  nostate: 'off',
  maintenance: 'warn',
  paused: 'warn',
  blocked: 'warn',
  pmsuspended: 'warn',
  deactivated: 'bad',
  crashed: 'bad',
  converged: 'good',
  present: 'good',
  changed: 'good',
  delivered: 'good',
  ok: 'good',
  drift_corrected: 'warn',
  drifted: 'warn',
  pending: 'warn',
  noop: 'warn',
  skipped: 'warn',
  pending_restart: 'warn',
  waiting: 'warn',
  stale: 'warn',
  held: 'off',
  absent: 'off',
  never_reported: 'off',
  failed: 'bad',
  compile_failed: 'bad',
};

/** Fields whose values are states. */
const badges: ReadonlySet<string> = new Set(['state', 'observed_state', 'status', 'outcome', 'result']);

/** A state in words, with a colour that repeats what the words say. */
export const Badge = ({ state }: { state: string }) => <span class={`badge ${tones[state] ?? 'plain'}`}>{state.replaceAll('_', ' ')}</span>;

/** A time in UTC. */
export const Time = ({ at }: { at: string | Date }) => {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return <>{String(at)}</>;
  const iso = date.toISOString();
  return (
    <time datetime={iso} title={iso}>
      {iso.slice(0, 10)} {iso.slice(11, 19)} UTC
    </time>
  );
};

/** Bytes in a readable unit; the exact number on hover. */
export const Bytes = ({ bytes, per }: { bytes: number; per?: boolean }) => (
  <data value={String(bytes)} title={`${count(bytes)} bytes${per ? ' per second' : ''}`}>
    {bytesShort(bytes)}
    {per ? '/s' : ''}
  </data>
);

export const None = ({ meaning = 'none' }: { meaning?: string }) => (
  <span class="none">
    <span aria-hidden="true">–</span>
    <span class="unseen">{meaning}</span>
  </span>
);

const Tags = ({ items }: { items: readonly Child[] }) => (
  <span class="tags">
    {items.map((item) => (
      <span class="tag">{item}</span>
    ))}
  </span>
);

/** A reference: the key as it came, or the thing itself where it was included. */
const Ref = ({ target, value, label }: { target: Model; value: unknown; label?: string | undefined }) => {
  const key = isRecord(value) ? keyOf(target, value) : String(value);
  const text = isRecord(value) ? titleOf(target, value) : (label ?? key);
  return (
    <a href={keyHref(target, key)} title={text === key ? undefined : key}>
      {text}
    </a>
  );
};

interface ValueProps {
  readonly catalog: Catalog;
  readonly field: Field;
  readonly value: unknown;
  readonly label?: string | undefined;
  /** In a table there is less room. */
  readonly short?: boolean;
}

/** One field's value, for people. */
export const Value = ({ catalog, field, value, label, short = false }: ValueProps) => {
  if (value === null || value === undefined || value === '') return <None meaning={isRate(field) || /iops/.test(field.name) ? 'no limit' : 'none'} />;
  if (field.ref !== undefined) return <Ref target={catalog.byNoun(field.ref)} value={value} label={label} />;
  if (field.unit === 'bytes' && typeof value === 'number') return <Bytes bytes={value} per={isRate(field)} />;
  if (badges.has(field.name)) return <Badge state={String(value)} />;
  if (/(_(at|since)|^last_login)$/.test(field.name)) return <Time at={String(value)} />;
  if (field.name === 'load' && typeof value === 'number') {
    const percent = Math.round(value * 100);
    return (
      <span class="load">
        <meter min="0" max="1" high={0.9} value={value} aria-label={`${percent} per cent`} /> {percent} %
      </span>
    );
  }
  if (typeof value === 'boolean') return value ? <>yes</> : <span class="none">no</span>;
  if (Array.isArray(value)) return value.length === 0 ? <None /> : <Tags items={value.map(String)} />;
  if (isRecord(value)) return <Json value={value} short={short} />;
  const text = String(value);
  if (field.name === 'url' && /^https?:\/\//.test(text)) {
    return (
      <a class="long" href={text} rel="noreferrer">
        {text}
      </a>
    );
  }
  return <span class={text.length > 24 ? 'long' : undefined}>{text}</span>;
};

const Json = ({ value, short }: { value: Readonly<Record<string, unknown>>; short: boolean }) => {
  const names = Object.keys(value);
  if (names.length === 0) return <None meaning="empty" />;
  return short ? <Tags items={names.map((name) => brief(name, value[name]))} /> : <pre class="json">{JSON.stringify(value, null, 2)}</pre>;
};

/** A member of a mapping, where there is little room: its value too, when that is short. */
function brief(name: string, value: unknown): string {
  const text = ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : '';
  return text === '' || text.length > 24 ? name : `${name}: ${text}`;
}

/** A column of a table: a field, a part such as roles, or one of the times. */
export const Cell = ({ catalog, model, row, name, label }: { catalog: Catalog; model: Model; row: Row; name: string; label?: string }) => {
  const field = model.field.get(name);
  const value = row[name];
  if (field) return <Value catalog={catalog} field={field} value={value} label={label} short />;
  if (name in model.parts && isRecord(value)) return <Tags items={Object.keys(value).map(labelOf)} />;
  if (/(_(at|since)|^last_login)$/.test(name) && value != null) return <Time at={String(value)} />;
  return <>{value == null ? '' : String(value)}</>;
};
