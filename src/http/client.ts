import type { IncomingMessage } from 'node:http';
import type { Context } from 'hono';
import type { Client } from '../auth/people/types.ts';
import { Proxies } from '../kernel/proxy.ts';
import type { Env, Services } from './answer.ts';

/** The request as Node has it. */
export function incomingOf(context: Context<Env>): IncomingMessage {
  return (context.env as unknown as { incoming: IncomingMessage }).incoming;
}

const none = new Proxies();
/** The proxies whose word counts. */
export const proxiesOf = (services: Services): Proxies => services.proxies ?? none;

/**
 * The browser of a request. It is secure where TLS ends here, or where a proxy says that it ended there: whoever
 * claims so without a proxy only gets a cookie that the browser does not send back.
 */
export function clientOf(context: Context<Env>, services: Services): Client {
  const incoming = incomingOf(context);
  const proxies = proxiesOf(services);
  const published = services.publicUrl === undefined ? undefined : new URL(services.publicUrl);
  return {
    address: proxies.addressOf(incoming),
    secure:
      proxies.isSecure(incoming) ||
      context.req.header('x-forwarded-proto') === 'https' ||
      (published?.protocol === 'https:' && published.host === context.req.header('host')),
    agent: context.req.header('user-agent'),
    requestId: context.get('requestId'),
  };
}
