import type { Child } from 'hono/jsx';
import type { ExplainedValue, Explanation, Kind, LayerNote } from '../explain/types.ts';
import { Item, LayerLink, Scope } from './explain.value.tsx';
import { Crumbs, Layout, render } from './layout.tsx';
import { documentHref, envelopes, explainHref, keyHref, listHref } from './link.ts';
import type { PageContext } from './types.ts';
import { pluralOf } from './words.ts';

const headings: Readonly<Record<Kind, readonly [string, string]>> = {
  class: ['Classes', "What the ENC names and Salt's tops apply, each with the parameters that it is declared with."],
  class_parameter: ['Parameters of classes', ''],
  parameter: ['Variables', "Parameters of the ENC: variables at Puppet's top scope."],
  environment: ['Environment', 'Which code Puppet and Salt take.'],
  data: ['Data', "Keys of Hiera and of Salt's pillar."],
};

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
        Version <code class="nobreak">{version}</code>.
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
