import type { Child } from 'hono/jsx';
import { Crumbs, Layout, render } from './layout.tsx';
import { changeHref, documentHref, envelopes, explainHref, keyHref, listHref } from './link.ts';
import type { DocumentView, PageContext } from './types.ts';
import { Time } from './value.tsx';
import { pluralOf } from './words.ts';

const meanings: Readonly<Record<string, string>> = {
  enc: "What Puppet's external node classifier gets: classes, parameters and environment.",
  hiera: "The data of the node's classes, ready merged, as the module's Hiera function reads it.",
  pillar: "What Salt's external pillar gets for the minion.",
  tops: "The states that Salt's master tops give the minion.",
  documents: "All that the node's manager needs, of one version.",
};

/** A quoted text of several lines as a literal block, which is the same to a YAML reader; undefined when it is none. */
function block(quoted: string, indent: string): { mark: string; lines: string } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(quoted);
  } catch {
    return undefined;
  }
  if (typeof value !== 'string' || !/^\S[^\n]*\n/.test(value) || /[^\n\x20-\x7e\u00a1-\uffff]|\n\n$| \n/.test(value)) return undefined;
  const lines = value.replace(/\n$/, '').split('\n');
  return { mark: value.endsWith('\n') ? ' |' : ' |-', lines: lines.map((line) => (line === '' ? '' : indent + line)).join('\n') };
}

/** Colours the keys of YAML as Corral writes it: one entry a line, texts in quotes. Texts of several lines become blocks. */
function coloured(text: string): Child[] {
  const out: Child[] = [];
  for (const line of text.split('\n')) {
    const match = /^(\s*(?:- )*)("(?:[^"\\]|\\.)*"|[a-z][\w:]*?)(:)(?= |$)(.*)$/.exec(line);
    const literal = match?.[4]?.startsWith(' "') ? block(match[4].slice(1), `${' '.repeat(match[1]!.length)}  `) : undefined;
    if (match && literal) out.push(match[1]!, <b>{match[2]}</b>, match[3]!, literal.mark, '\n', <i>{literal.lines}</i>, '\n');
    else if (match) out.push(match[1]!, <b>{match[2]}</b>, match[3]!, match[4]!, '\n');
    else out.push(line, '\n');
  }
  out.pop();
  return out;
}

/** A node's document as its hosts' tools read it. */
export function documentPage(context: PageContext, { envelope, node, version, builtAt, text, past }: DocumentView): string {
  const nodes = context.catalog.byNoun('node');
  const reader = context.identity?.rights.mayEverywhere('node:read') === true;
  const name = envelopes[envelope as keyof typeof envelopes] ?? envelope;
  /* Other forms of it are of the same time. */
  const at = past ? `?${new URLSearchParams({ at: context.url.searchParams.get('at') ?? '' }).toString()}` : '';
  const lines = text.trimEnd().split('\n').length;
  return render(
    <Layout context={context} title={`${name} of ${node}`} model={nodes} bare={!reader}>
      {reader ? (
        <Crumbs
          steps={[
            [listHref(nodes), pluralOf(nodes)],
            [keyHref(nodes, node), node],
          ]}
        />
      ) : null}
      <h1>
        {name} <span class="muted">of {node}</span>
      </h1>
      <p class="summary">{meanings[envelope] ?? ''}</p>
      <nav class="documents" aria-label="Documents of this node">
        {Object.entries(envelopes).map(([other, label]) => (
          <a href={documentHref(other, node) + at} aria-current={other === envelope ? 'page' : undefined}>
            {label}
          </a>
        ))}
        {reader ? <a href={explainHref(node)}>Explain</a> : null}
      </nav>
      <dl class="facts">
        <div>
          <dt>Version</dt>
          <dd>
            <code>{version}</code>
          </dd>
        </div>
        <div>
          <dt>Built</dt>
          <dd>
            <Time at={builtAt} />
          </dd>
        </div>
        {past ? (
          <div>
            <dt>Past</dt>
            <dd>
              As it was{past.change === null ? '' : ' after '}
              {past.change === null ? null : <a href={changeHref(past.change)}>change {past.change}</a>}; <a href={documentHref(envelope, node)}>the newest</a>
            </dd>
          </div>
        ) : null}
        <div>
          <dt>From</dt>
          <dd>{reader ? <a href={keyHref(nodes, node)}>{node}</a> : node} and what belongs to it, in the transaction that last changed any of it</dd>
        </div>
        {reader ? (
          <div>
            <dt>Changes</dt>
            <dd>
              <a href={`${documentHref('documents', node)}/diff${past?.change == null ? '' : `?to=${past.change}`}`}>
                What {past ? 'this' : 'the last'} version changed
              </a>
              , <a href={`/changes?${new URLSearchParams({ node }).toString()}`}>all changes of it</a>
            </dd>
          </div>
        ) : null}
        <div>
          <dt>Also as</dt>
          <dd>
            <a href={documentHref(envelope, node, 'yaml') + at}>YAML</a>, <a href={documentHref(envelope, node, 'json') + at}>JSON</a>,{' '}
            <a href={documentHref(envelope, node, 'msgpack') + at}>MessagePack</a>
          </dd>
        </div>
      </dl>
      <pre
        class="commands"
        aria-label="Command that fetches it"
      >{`curl -sH "Authorization: Bearer $CORRAL_TOKEN" ${context.url.origin}${documentHref(envelope, node, 'yaml')}${at}`}</pre>
      <section aria-label={`The document, ${lines} lines of YAML`}>
        <pre class="yaml">{coloured(text)}</pre>
      </section>
    </Layout>,
  );
}
