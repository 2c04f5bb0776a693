import { Hono, type Context } from 'hono';
import { allow } from '../auth/identity.ts';
import { explain } from '../explain/explain.load.ts';
import { explanationText } from '../explain/text.ts';
import { splitSuffix, type Format } from '../kernel/negotiate.ts';
import { Problem } from '../kernel/problem.ts';
import { answer, formatOf, offered, pageContext, type Env, type Services } from './answer.ts';

const formats: readonly Format[] = [...offered, 'text'];

/** `/nodes/<node>/explain[/<key>]`, with and without `/api/v1` before it. */
const PATH = /^(?:\/api\/v1)?\/nodes\/([^/]+)\/explain(?:\/(.+)|(?:\.(?:json|msgpack|html)))?$/;

/** Where the values of a node's documents come from. */
export function explainRoutes(services: Services): Hono<Env> {
  const app = new Hono<Env>();
  const handler = async (context: Context<Env>): Promise<Response> => {
    const { node, key, suffix } = parse(new URL(context.req.url).pathname);
    const format = formatOf(context, formats, suffix);
    allow(context.get('identity')!, 'node:read');
    if (context.req.method !== 'GET' && context.req.method !== 'HEAD')
      throw new Problem('method-not-allowed', `${context.req.method} is not possible here; possible: GET`, { extra: { allow: 'GET' } });
    const [unknown] = new URL(context.req.url).searchParams.keys();
    if (unknown !== undefined)
      throw new Problem('unknown-parameter', `'${unknown.slice(0, 80)}' is not a parameter of explain; it has none`, {
        extra: { parameter: unknown.slice(0, 200) },
      });
    const { store, catalog, db } = services;
    const explanation = await explain({ db: db(), catalog, secrets: store.secrets }, node, key);
    const shown = (): string => (format === 'text' ? explanationText(explanation) : services.pages.explain(pageContext(services, context), explanation));
    return answer(context, format, explanation, shown, { headers: { 'Corral-Document': explanation.version, 'Corral-Node': explanation.node } });
  };
  for (const prefix of ['/api/v1/nodes', '/nodes'])
    for (const path of ['/:node/:explain{explain(?:\\.(?:json|msgpack|html))?}', '/:node/explain/:key{.+}']) app.all(prefix + path, handler);
  return app;
}

function parse(path: string): { node: string; key: string | undefined; suffix: Format | undefined } {
  const match = PATH.exec(path);
  let node: string;
  let rest: string | undefined;
  try {
    node = decodeURIComponent(match![1]!);
    rest = match![2] === undefined ? undefined : decodeURIComponent(match![2]);
  } catch {
    throw new Problem('bad-request', 'The path holds a broken percent sign');
  }
  if (node.includes('\0') || rest?.includes('\0')) throw new Problem('bad-request', 'The path holds a NUL character');
  const { name, format } = splitSuffix(rest ?? path, offered);
  return { node, key: rest === undefined ? undefined : name, suffix: format };
}
