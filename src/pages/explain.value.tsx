import type { Json } from '../documents/canonical.ts';
import type { ChangeNote, ExplainedValue, Explanation, LayerNote, Looked } from '../explain/types.ts';
import { changeHref, explainHref, keyHref, listHref } from './link.ts';
import type { PageContext } from './types.ts';
import { Time } from './value.tsx';
import { count, pluralOf } from './words.ts';

const words: Readonly<Record<Looked['outcome'], readonly [string, string]>> = {
  won: ['the value', 'good'],
  contributed: ['part of it', 'good'],
  lost: ['came too late', 'off'],
  silent: ['no such key', 'off'],
  out_of_reach: ['out of reach', 'warn'],
};

/** Values up to this many characters stand beside their keys. */
const SHORT = 90;

/** In the tree of all values, longer ones are left to their own page. */
const LONG = 20_000;

const text = (value: Json): string => JSON.stringify(value);
const isShort = (one: ExplainedValue): boolean => one.secret || text(one.value).length <= SHORT;

const ValueText = ({ value, secret, whole }: { value: Json; secret: boolean; whole: boolean }) => {
  if (secret) return <span class="muted">(secret)</span>;
  const shown = JSON.stringify(value, null, 2);
  return !whole && shown.length > LONG ? <p class="muted">{count(shown.length)} characters: too long to show here.</p> : <pre class="json">{shown}</pre>;
};

/** What stands beside a key, of a long value how much it is. */
const Beside = ({ one }: { one: ExplainedValue }) => {
  if (one.secret) return <span class="muted">(secret)</span>;
  if (isShort(one)) return <code>{text(one.value)}</code>;
  const { value } = one;
  const entries = typeof value === 'object' && value !== null ? Object.keys(value).length : undefined;
  return <span class="muted">{entries === undefined ? 'a long text' : `${count(entries)} ${entries === 1 ? 'entry' : 'entries'}`}</span>;
};

/** A layer, by name. */
export const LayerLink = ({ context, name }: { context: PageContext; name: string }) => <a href={keyHref(context.catalog.byNoun('layer'), name)}>{name}</a>;

const Change = ({ change }: { change: ChangeNote }) => (
  <>
    <a href={changeHref(change.number)}>change {change.number}</a>, <Time at={change.at} />, by {change.actor}
    {change.message === null ? null : <q class="told">{change.message}</q>}
  </>
);

/** What a layer is attached to. */
export const Scope = ({ note }: { note: LayerNote }) => (
  <span class="muted">
    {note.scope}
    {note.target === null ? '' : ` ${note.target}`}, weight {note.weight}
  </span>
);

const LookedAt = ({ context, one, named, whole }: { context: PageContext; one: Looked; named: boolean; whole: boolean }) => {
  const [outcome, tone] = words[one.outcome];
  const gives = one.outcome === 'won' || one.outcome === 'contributed';
  return (
    <li class={one.outcome === 'silent' ? 'silent' : undefined}>
      <p>
        <LayerLink context={context} name={one.layer} /> <span class={`badge ${tone}`}>{named && gives ? 'declares it' : outcome}</span> <Scope note={one} />
      </p>
      {one.outcome === 'silent' ? null : (
        <>
          {named ? null : one.value === undefined ? (
            <p class="muted">Sets the key, but not this part of it.</p>
          ) : (
            <ValueText value={one.value} secret={one.secret} whole={whole} />
          )}
          <p class="help">
            {one.because.replace(/^./, (first) => first.toUpperCase())}.{' '}
            {one.change ? (
              <>
                Set by <Change change={one.change} />
              </>
            ) : (
              'Set before changes were kept.'
            )}
          </p>
        </>
      )}
    </li>
  );
};

const Since = ({ one }: { one: ExplainedValue }) => {
  const { version, built_at, change, or_earlier } = one.since;
  return (
    <p class="help">
      As it is since version <code>{version}</code>
      {or_earlier ? (
        ' or earlier'
      ) : (
        <>
          , <Time at={built_at} />
        </>
      )}
      {change && !or_earlier ? (
        <>
          , <Change change={change} />
        </>
      ) : null}
    </p>
  );
};

/** Where each tool finds it. */
const Places = ({ one }: { one: ExplainedValue }) => {
  const { enc, hiera, pillar, tops } = one.places;
  const found = Object.entries({ ENC: enc, Hiera: hiera, pillar, tops }).filter(([, place]) => place !== undefined);
  return (
    <p class="help">
      {found.map(([name, place], i) => (
        <>
          {i === 0 ? '' : ' · '}
          {name} <code>{place}</code>
        </>
      ))}
    </p>
  );
};

const From = ({ context, one }: { context: PageContext; one: ExplainedValue }) => (
  <p>
    Corral makes it from{' '}
    {one.from.map((noun, i) => {
      const model = context.catalog.models.find(({ resource }) => resource.noun === noun);
      return (
        <>
          {i === 0 ? '' : ', '}
          {model ? (
            <a href={listHref(model)}>{pluralOf(model).replace(/^[A-Z](?=[a-z])(?!eph)/, (first) => first.toLowerCase())}</a>
          ) : (
            noun.replaceAll('_', ' ')
          )}
        </>
      );
    })}
    .
  </p>
);

const Winner = ({ one }: { one: ExplainedValue }) => (
  <span class="winner">{one.source === 'model' ? <span class="tag">model</span> : one.won.map((name) => <span class="tag from">{name}</span>)}</span>
);

interface ItemProps {
  readonly context: PageContext;
  readonly explanation: Explanation;
  readonly one: ExplainedValue;
  readonly open: boolean;
  /** How the key is written here, where that is shorter. */
  readonly name?: string;
}

/** A value, and unfolded where it comes from. */
export const Item = ({ context, explanation, one, open, name = one.key }: ItemProps) => (
  <details class="origin" open={open}>
    <summary>
      <b class="code">{name}</b> {one.kind === 'class' ? null : <Beside one={one} />} <Winner one={one} />
    </summary>
    {one.kind === 'class' || (isShort(one) && one.layers.length > 0) ? null : <ValueText value={one.value} secret={one.secret} whole={open} />}
    {one.source === 'model' ? (
      <From context={context} one={one} />
    ) : (
      <>
        {one.kind === 'data' ? (
          <p>
            Merged by <b>{one.strategy}</b>
            {one.declared_by.length > 0 ? `, as ${one.declared_by.join(', ')} declares` : ''}. Looked at, in this order:
          </p>
        ) : (
          <p>Looked at, in this order:</p>
        )}
        <ol class="looked">
          {one.layers.map((layer) => (
            <LookedAt context={context} one={layer} named={one.kind === 'class'} whole={open} />
          ))}
        </ol>
      </>
    )}
    {one.notes.map((note) => (
      <p class="why">{note}</p>
    ))}
    <Since one={one} />
    <Places one={one} />
    {open ? null : (
      <p>
        <a href={explainHref(explanation.node, one.key)}>All about {one.key}</a>
      </p>
    )}
  </details>
);
