import type { PastDocument } from '../documents/history.load.ts';
import { Crumbs, Layout, render } from './layout.tsx';
import { changeHref, documentHref, keyHref, listHref } from './link.ts';
import { DifferenceText } from './plan.tsx';
import type { DifferenceView, PageContext } from './types.ts';
import { None, Time } from './value.tsx';
import { pluralOf } from './words.ts';

/** A unified difference, or that there is none. */
export const Difference = ({ text }: { text: string }) =>
  text === '' ? (
    <p class="muted">No difference but in secrets.</p>
  ) : (
    <div class="planned">
      <DifferenceText text={text} />
    </div>
  );

const Side = ({ document, node }: { document: PastDocument | undefined; node: string }) =>
  document === undefined ? (
    <>no document</>
  ) : (
    <>
      <code>{document.version}</code>, built <Time at={document.builtAt} />
      {document.change === null ? null : (
        <>
          {' '}
          by <a href={changeHref(document.change)}>change {document.change}</a> (
          <a href={`${documentHref('documents', node)}?at=${document.change}`}>as a whole</a>)
        </>
      )}
    </>
  );

/** What is other between two versions of a node's document. */
export function differencePage(context: PageContext, { node, before, after, text }: DifferenceView): string {
  const nodes = context.catalog.byNoun('node');
  const earlier = before?.change ?? null;
  return render(
    <Layout context={context} title={`Difference of ${node}`} model={nodes}>
      <Crumbs
        steps={[
          [listHref(nodes), pluralOf(nodes)],
          [keyHref(nodes, node), node],
        ]}
      />
      <h1>
        Difference <span class="muted">of the document of {node}</span>
      </h1>
      <dl class="facts">
        <div>
          <dt>From</dt>
          <dd>
            <Side document={before} node={node} />
          </dd>
        </div>
        <div>
          <dt>To</dt>
          <dd>{after === undefined ? <None meaning="no document" /> : <Side document={after} node={node} />}</dd>
        </div>
      </dl>
      <Difference text={text} />
      <div class="foot">
        <p>{earlier === null ? null : <a href={`${documentHref('documents', node)}/diff?to=${earlier}`}>The difference before this</a>}</p>
        <p class="muted formats">
          With an RFC 6902 patch as <code>Accept: application/json</code>
        </p>
      </div>
    </Layout>,
  );
}
