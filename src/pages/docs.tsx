import { isRecord } from '../kernel/codec.ts';
import { problems } from '../kernel/problem.ts';
import { list, resolve, Schema, text, typeOf, type Json } from './docs.schema.tsx';
import { StateTables } from './docs.states.tsx';
import { Layout, render } from './layout.tsx';
import type { PageContext } from './types.ts';
import { pluralOf } from './words.ts';

const verbs = ['get', 'post', 'put', 'patch', 'delete'] as const;

interface Operation {
  readonly verb: string;
  readonly path: string;
  readonly parameters: readonly Json[];
  readonly body: Json;
}

/** The operations by tag, in the order of the tags. */
function byTag(api: Json): [string, Operation[]][] {
  const groups = new Map<string, Operation[]>(list(api['tags']).map((tag) => [text(tag['name']), []]));
  for (const [path, item] of Object.entries(isRecord(api['paths']) ? api['paths'] : {})) {
    if (!isRecord(item)) continue;
    for (const verb of verbs) {
      const body = item[verb];
      if (!isRecord(body)) continue;
      const tag = Array.isArray(body['tags']) ? String(body['tags'][0]) : 'Other';
      const group = groups.get(tag) ?? [];
      groups.set(tag, group);
      group.push({ verb, path, body, parameters: [...list(item['parameters']), ...list(body['parameters'])] });
    }
  }
  const rank = (tag: string): number => (tag === 'Lists' ? 1 : 0);
  return [...groups].filter(([, operations]) => operations.length > 0).sort(([a], [b]) => rank(a) - rank(b));
}

/** The noun that a path is of, for people. */
function nounAt(context: PageContext, path: string): string | undefined {
  const model = context.catalog.byRoute(/^\/api\/v1\/([^/]+)/.exec(path)?.[1] ?? '');
  return model && pluralOf(model);
}

const slug = (words: string): string =>
  words
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '');
const operators = /^(.+?)(__(?:ne|in|gte?|lte?|contains|startswith|null))$/;

/** Parameters; the operators of a filter stand with their field. */
const Parameters = ({ parameters }: { parameters: readonly Json[] }) => {
  const suffixes = new Map<string, string[]>();
  for (const one of parameters) {
    const match = operators.exec(text(one['name']));
    if (match) suffixes.set(match[1]!, [...(suffixes.get(match[1]!) ?? []), match[2]!]);
  }
  const plain = parameters.filter((one) => !operators.test(text(one['name'])));
  if (plain.length === 0) return null;
  return (
    <table class="schema">
      <caption>Parameters</caption>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">In</th>
          <th scope="col">Meaning</th>
        </tr>
      </thead>
      <tbody>
        {plain.map((one) => {
          const name = text(one['name']);
          const with_ = suffixes.get(name);
          const type = isRecord(one['schema']) ? typeOf(one['schema']) : '';
          return (
            <tr>
              <th scope="row">
                <code>{name}</code>
                {one['required'] === true ? <span class="required"> required</span> : null}
              </th>
              <td>{text(one['in'])}</td>
              <td>
                {text(one['description'])} {type === 'text' ? null : <span class="muted">{type}</span>}
                {with_ ? <span class="muted"> Also {with_.map((suffix) => name + suffix).join(', ')}.</span> : null}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
};

const Responses = ({ responses }: { responses: Json }) => (
  <table class="schema">
    <caption>Answers</caption>
    <thead>
      <tr>
        <th scope="col">Status</th>
        <th scope="col">Meaning</th>
      </tr>
    </thead>
    <tbody>
      {Object.entries(responses).map(([status, value]) => (
        <tr>
          <th scope="row">{status}</th>
          <td>
            {isRecord(value) ? text(value['description']) : ''}{' '}
            {isRecord(value) && isRecord(value['content']) && !('application/problem+json' in value['content']) ? (
              <span class="muted">{Object.keys(value['content']).join(', ')}</span>
            ) : null}
          </td>
        </tr>
      ))}
    </tbody>
  </table>
);

const One = ({ api, operation }: { api: Json; operation: Operation }) => {
  const { verb, path, body, parameters } = operation;
  const content = isRecord(body['requestBody']) && isRecord(body['requestBody']['content']) ? body['requestBody']['content']['application/json'] : undefined;
  const { schema, name } = resolve(api, isRecord(content) && isRecord(content['schema']) ? content['schema'] : {});
  /* PUT takes what POST takes, and says so instead of saying it twice. */
  const repeated = verb === 'put' && name !== undefined;
  return (
    <details class="operation" id={`op-${slug(`${verb} ${path}`)}`}>
      <summary>
        <span class={`verb ${verb}`}>{verb.toUpperCase()}</span> <code>{path}</code> <span>{text(body['summary'])}</span>
      </summary>
      {body['description'] === undefined ? null : <p>{text(body['description'])}</p>}
      <Parameters parameters={parameters} />
      {repeated ? <p>The body is that of POST.</p> : content === undefined ? null : <Schema schema={schema} caption="Body" />}
      {isRecord(body['responses']) ? <Responses responses={body['responses']} /> : null}
    </details>
  );
};

/** The API's description, to be read. */
export function docsPage(context: PageContext, openapi: Json): string {
  const groups = byTag(openapi);
  const info = isRecord(openapi['info']) ? openapi['info'] : {};
  return render(
    <Layout context={context} title="API reference">
      <h1>API reference</h1>
      <p class="summary">{text(info['description'])}</p>
      <p>
        Version {text(info['version'])}. The same for programs: <a href="/openapi.json">OpenAPI 3.1</a>. Send a token as <code>Authorization: Bearer</code>.
        Answers come as JSON, MessagePack or HTML by <code>Accept</code>, or by <code>.json</code>, <code>.msgpack</code>, <code>.html</code> at the end of the
        path; bodies are read in JSON, MessagePack or form encoding.
      </p>
      <nav class="toc" aria-label="On this page">
        <ul>
          {groups.map(([tag]) => (
            <li>
              <a href={`#tag-${slug(tag)}`}>{tag}</a>
            </li>
          ))}
          <li>
            <a href="#states">States</a>
          </li>
          <li>
            <a href="#problems">Problems</a>
          </li>
        </ul>
      </nav>
      {groups.map(([tag, operations]) => (
        <section aria-labelledby={`tag-${slug(tag)}`}>
          <h2 id={`tag-${slug(tag)}`}>{tag}</h2>
          {operations.map((operation, i) => {
            const noun = nounAt(context, operation.path);
            return (
              <>
                {noun !== undefined && noun !== (i > 0 ? nounAt(context, operations[i - 1]!.path) : undefined) ? <h3>{noun}</h3> : null}
                <One api={openapi} operation={operation} />
              </>
            );
          })}
        </section>
      ))}
      <StateTables />
      <section aria-labelledby="problems">
        <h2 id="problems">Problems</h2>
        <p>
          Errors are problem details (RFC 9457): <code>code</code> is one of these and stays, <code>detail</code> says what to do, <code>errors</code> names the
          places in the input as JSON pointers.
        </p>
        <table class="schema">
          <caption class="unseen">Problem codes</caption>
          <thead>
            <tr>
              <th scope="col">Code</th>
              <th scope="col">Status</th>
              <th scope="col">Meaning</th>
            </tr>
          </thead>
          <tbody>
            {Object.entries(problems).map(([code, [status, meaning]]) => (
              <tr id={code}>
                <th scope="row">
                  <code>{code}</code>
                </th>
                <td>{status}</td>
                <td>{meaning}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </Layout>,
  );
}
