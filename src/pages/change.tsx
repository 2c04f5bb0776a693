import { ChangedRows } from './change.rows.tsx';
import { Difference } from './difference.tsx';
import { Crumbs, Layout, render } from './layout.tsx';
import { changeHref, documentHref, keyHref } from './link.ts';
import type { ChangeView, PageContext } from './types.ts';
import { None, Time } from './value.tsx';
import { count } from './words.ts';

const Revert = ({ view }: { view: ChangeView }) => {
  const { number, message } = view.change;
  return (
    <details class="confirm">
      <summary class="button danger">Revert…</summary>
      <form method="post" action={`${changeHref(number)}/revert`}>
        <p>Undo change {number} by a new change? It is refused when later changes stand in its way.</p>
        <p>
          <label for="why">Message</label>
          <input
            id="why"
            type="text"
            name="_message"
            maxlength={500}
            placeholder={`Revert change ${number}${message === null ? '' : `: ${message}`}`.slice(0, 100)}
          />
        </p>
        <p class="pair">
          <button type="submit" formaction={`${changeHref(number)}/revert?dry_run=true`}>
            Show what it would do
          </button>
          <button class="danger" type="submit">
            Revert change {number}
          </button>
        </p>
      </form>
    </details>
  );
};

/** One change: who, when, why, its rows before and after, and its documents. */
export function changePage(context: PageContext, view: ChangeView): string {
  const { change, differences, warnings = [] } = view;
  const { number, message, documents, rows } = change;
  const nodes = context.catalog.byNoun('node');
  return render(
    <Layout context={context} title={`Change ${number}`}>
      <Crumbs steps={[['/changes', 'Changes']]} />
      <div class="head">
        <h1>Change {number}</h1>
        <div class="actions">{context.identity?.rights.mayEverywhere('change:revert') && rows.length > 0 ? <Revert view={view} /> : null}</div>
      </div>
      {message === null ? <p class="muted">Without a message.</p> : <p class="said">{message}</p>}
      {warnings.length === 0 ? null : (
        <section class="once" role="alert" aria-label="What is not as before">
          {warnings.map((one) => (
            <p>{one}.</p>
          ))}
        </section>
      )}
      <dl class="facts">
        <div>
          <dt>By</dt>
          <dd>
            <a href={`/changes?${new URLSearchParams({ actor: change.actor }).toString()}`}>{change.actor}</a>
          </dd>
        </div>
        <div>
          <dt>At</dt>
          <dd>
            <Time at={change.at} />
          </dd>
        </div>
        <div>
          <dt>Request</dt>
          <dd>{change.request_id === null ? <None /> : <code>{change.request_id}</code>}</dd>
        </div>
        {change.reverts === null ? null : (
          <div>
            <dt>Undid</dt>
            <dd>
              <a href={changeHref(change.reverts)}>change {change.reverts}</a>
            </dd>
          </div>
        )}
        {change.reverted_by.length === 0 ? null : (
          <div>
            <dt>Undone by</dt>
            <dd>
              {change.reverted_by.map((one, i) => (
                <>
                  {i > 0 ? ', ' : ''}
                  <a href={changeHref(one)}>change {one}</a>
                </>
              ))}
            </dd>
          </div>
        )}
      </dl>
      <section aria-labelledby="rows">
        <h2 id="rows">
          Rows <span class="total">{count(rows.length)}</span>
        </h2>
        {rows.length === 0 ? <p class="muted">None: only documents were written anew.</p> : <ChangedRows catalog={context.catalog} rows={rows} />}
      </section>
      <section aria-labelledby="documents">
        <h2 id="documents">
          Documents <span class="total">{count(documents.length)}</span>
        </h2>
        {documents.length === 0 ? <p class="muted">No host's document is other than before.</p> : null}
        {differences.map(({ fqdn, node, version, text }) => (
          <>
            <h3>
              <a href={keyHref(nodes, String(node))}>{fqdn}</a> <code>{version}</code>{' '}
              <a href={`${documentHref('documents', String(documents.some((one) => one.node === fqdn) ? fqdn : node))}?at=${number}`}>as it was then</a>
            </h3>
            <Difference text={text} />
          </>
        ))}
        {documents.length > differences.length && differences.length > 0 ? (
          <details>
            <summary>{documents.length - differences.length} more</summary>
            <ul class="names">
              {documents.slice(differences.length).map(({ node, version }) => (
                <li>
                  <a href={`${documentHref('documents', node.replace(/^#/, ''))}/diff?to=${number}`}>{node}</a> <code>{version}</code>
                </li>
              ))}
            </ul>
          </details>
        ) : null}
      </section>
      <div class="foot">
        <nav class="pages" aria-label="Changes">
          {number > 1 ? (
            <a class="button" href={changeHref(number - 1)}>
              Change before
            </a>
          ) : null}
          <a class="button" href={changeHref(number + 1)}>
            Change after
          </a>
        </nav>
        <p class="muted formats">
          This change as <a href={`${changeHref(number)}.json`}>JSON</a> or <a href={`${changeHref(number)}.msgpack`}>MessagePack</a>
        </p>
      </div>
    </Layout>,
  );
}
