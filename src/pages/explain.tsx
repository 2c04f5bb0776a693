import type { Child } from 'hono/jsx';
import type { Json } from '../documents/canonical.ts';
import type { ChangeNote, ExplainedValue, Explanation, Kind, LayerNote, Looked } from '../explain/types.ts';
import { Crumbs, Layout, render } from './layout.tsx';
import { changeHref, documentHref, envelopes, explainHref, keyHref, listHref } from './link.ts';
import type { PageContext } from './types.ts';
import { Time } from './value.tsx';
import { count, pluralOf } from './words.ts';

const headings: Readonly<Record<Kind, readonly [string, string]>> = {
  class: ['Classes', "What the ENC names and Salt's tops apply, each with the parameters that it is declared with."],
  class_parameter: ['Parameters of classes', ''],
  parameter: ['Variables', "Parameters of the ENC: variables at Puppet's top scope."],
  environment: ['Environment', 'Which code Puppet and Salt take.'],
  data: ['Data', "Keys of Hiera and of Salt's pillar."],
};

const words: Readonly<Record<Looked['outcome'], readonly [string, string]>> = {
  won: ['the value', 'good'],
  contributed: ['part of it', 'good'],
  lost: ['came too late', 'off'],
  silent: ['no such key', 'off'],
  out_of_reach: ['out of reach', 'warn'],
};

/** Values up to this many characters stand beside their keys. */
const SHORT = 90;

const text = (value: Json): string => JSON.stringify(value);
const isShort = (one: ExplainedValue): boolean => one.secret || text(one.value).length <= SHORT;

const ValueText = ({ value, secret }: { value: Json; secret: boolean }) =>
  secret ? <span class="muted">(secret)</span> : <pre class="json">{JSON.stringify(value, null, 2)}</pre>;

/** What stands beside a key, of a long value how much it is. */
const Beside = ({ one }: { one: ExplainedValue }) => {
  if (one.secret) return <span class="muted">(secret)</span>;
  if (isShort(one)) return <code>{text(one.value)}</code>;
  const { value } = one;
  const entries = typeof value === 'object' && value !== null ? Object.keys(value).length : undefined;
  return <span class="muted">{entries === undefined ? 'a long text' : `${count(entries)} ${entries === 1 ? 'entry' : 'entries'}`}</span>;
};

const LayerLink = ({ context, name }: { context: PageContext; name: string }) => <a href={keyHref(context.catalog.byNoun('layer'), name)}>{name}</a>;

const Change = ({ change }: { change: ChangeNote }) => (
  <>
    <a href={changeHref(change.number)}>change {change.number}</a>, <Time at={change.at} />, by {change.actor}
    {change.message === null ? null : <q class="said">{change.message}</q>}
  </>
);

const Scope = ({ note }: { note: LayerNote }) => (
  <span class="muted">
    {note.scope}
    {note.target === null ? '' : ` ${note.target}`}, weight {note.weight}
  </span>
);

const LookedAt = ({ context, one }: { context: PageContext; one: Looked }) => {
  const [outcome, tone] = words[one.outcome];
  return (
    <li class={one.outcome === 'silent' ? 'silent' : undefined}>
      <p>
        <LayerLink context={context} name={one.layer} /> <span class={`badge ${tone}`}>{outcome}</span> <Scope note={one} />
      </p>
      {one.outcome === 'silent' ? null : (
        <>
          {one.value === undefined ? <p class="muted">Sets the key, but not this part of it.</p> : <ValueText value={one.value} secret={one.secret} />}
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
          {model ? <a href={listHref(model)}>{pluralOf(model).toLowerCase()}</a> : noun.replaceAll('_', ' ')}
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

const Item = ({ context, explanation, one, open, name = one.key }: ItemProps) => (
  <details class="origin" open={open}>
    <summary>
      <b class="code">{name}</b> {one.kind === 'class' ? null : <Beside one={one} />} <Winner one={one} />
    </summary>
    {one.kind === 'class' || (isShort(one) && one.layers.length > 0) ? null : <ValueText value={one.value} secret={one.secret} />}
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
            <LookedAt context={context} one={layer} />
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

/** Classes, each with its parameters below it. */
const Classes = ({ context, explanation }: { context: PageContext; explanation: Explanation }) => (
  <>
    {explanation.values
      .filter(({ kind }) => kind === 'class')
      .map((one) => {
        const prefix = `${one.key}::`;
        const parameters = explanation.values.filter(
          ({ kind, key }) => kind === 'class_parameter' && key.startsWith(prefix) && !key.slice(prefix.length).includes('::'),
        );
        return (
          <>
            <Item context={context} explanation={explanation} one={one} open={false} />
            {parameters.length === 0 ? null : (
              <div class="below">
                {parameters.map((parameter) => (
                  <Item context={context} explanation={explanation} one={parameter} open={false} name={parameter.key.slice(prefix.length)} />
                ))}
              </div>
            )}
          </>
        );
      })}
  </>
);

const Section = ({ kind, children }: { kind: Kind; children: Child }) => (
  <section class="origins" aria-labelledby={`of-${kind}`}>
    <h2 id={`of-${kind}`}>{headings[kind][0]}</h2>
    {headings[kind][1] === '' ? null : <p class="muted">{headings[kind][1]}</p>}
    {children}
  </section>
);

/** All values, as a tree. */
const Tree = ({ context, explanation }: { context: PageContext; explanation: Explanation }) => {
  const items = (kind: Kind, such: (one: ExplainedValue) => boolean = () => true) =>
    explanation.values
      .filter((one) => one.kind === kind && such(one))
      .map((one) => <Item context={context} explanation={explanation} one={one} open={false} />);
  const own = items('data', ({ source }) => source === 'layers');
  return (
    <>
      <Section kind="class">
        <Classes context={context} explanation={explanation} />
      </Section>
      <Section kind="parameter">{items('parameter')}</Section>
      <Section kind="environment">{items('environment')}</Section>
      <Section kind="data">
        {own.length === 0 ? null : (
          <>
            <h3>Of layers</h3>
            {own}
            <h3>Of the model</h3>
          </>
        )}
        {items('data', ({ source }) => source === 'model')}
      </Section>
    </>
  );
};

const Reaching = ({ context, layers }: { context: PageContext; layers: readonly LayerNote[] }) => (
  <section class="panel" aria-labelledby="layers">
    <h2 id="layers">Layers that reach it</h2>
    {layers.length === 0 ? (
      <p class="muted">None. All comes from Corral's model.</p>
    ) : (
      <ol class="looked">
        {layers.map((one) => (
          <li>
            <LayerLink context={context} name={one.layer} /> <Scope note={one} /> <span class="help">{one.because}</span>
          </li>
        ))}
      </ol>
    )}
  </section>
);

/** Where the values of a node's documents come from. */
export function explainPage(context: PageContext, explanation: Explanation): string {
  const { node, version, key, layers, values } = explanation;
  const nodes = context.catalog.byNoun('node');
  const steps: [string, string][] = [
    [listHref(nodes), pluralOf(nodes)],
    [keyHref(nodes, node), node],
  ];
  if (key !== undefined) steps.push([explainHref(node), 'Explain']);
  return render(
    <Layout context={context} title={`${key ?? 'Explain'} of ${node}`} model={nodes}>
      <Crumbs steps={steps} />
      <h1>
        {key === undefined ? 'Where its values come from' : <span class="code">{key}</span>} <span class="muted">of {node}</span>
      </h1>
      <p class="summary">
        {key === undefined
          ? 'Each value of its documents, and the layers or the model that gave it. '
          : 'The layers that were looked at, what each gave, and the change that set it. '}
        Version <code>{version}</code>.
      </p>
      <nav class="documents" aria-label="Documents of this node">
        {Object.entries(envelopes).map(([envelope, label]) => (
          <a href={documentHref(envelope, node)}>{label}</a>
        ))}
        <a href={explainHref(node)} aria-current="page">
          Explain
        </a>
      </nav>
      {key === undefined ? (
        <>
          <Reaching context={context} layers={layers} />
          <Tree context={context} explanation={explanation} />
        </>
      ) : (
        values.map((one) => (
          <Section kind={one.kind}>
            <Item context={context} explanation={explanation} one={one} open />
          </Section>
        ))
      )}
      <pre class="commands" aria-label="Command that shows it">{`corral explain ${node}${key === undefined ? '' : ` '${key}'`}`}</pre>
    </Layout>,
  );
}
