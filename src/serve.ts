import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { createHttpServer } from './app.ts';
import { keepClearing } from './changes/retention.ts';
import { firstStart, openCorral, VERSION, type Corral } from './corral.ts';
import { sweepLogins } from './auth/people/sessions.ts';
import { checkLogins, loginSettings } from './auth/people/settings.ts';
import { keepPruning } from './documents/lookup.load.ts';
import { clearIdempotency } from './http/idempotency.ts';
import { loadDemo } from './fleet/demo.ts';
import type { Config } from './kernel/config.ts';
import { createLog } from './kernel/logging.ts';
import { Proxies } from './kernel/proxy.ts';
import { Limits } from './limits/limits.ts';
import { sweepBuckets } from './limits/shared.ts';
import { linkUrl, makeLink } from './modules/people/person.verbs.ts';
import { pages } from './pages/index.tsx';
import { tlsServer, trackSockets } from './tls/server.ts';
import { parseAllowed } from './webhooks/address.ts';
import { Dispatcher } from './webhooks/dispatcher.ts';

/** A running server. */
export interface Running {
  readonly url: string;
  /** Of a database that was new: the admin token; it is not shown again. */
  readonly adminToken: string | undefined;
  /** Of a database that was new: where the first person is made, once. */
  readonly firstLink: string | undefined;
  readonly corral: Corral;
  /** How many requests are in flight. */
  active(): number;
  /** Finishes what is in flight, then closes. */
  stop(): Promise<void>;
}

/** Opens the database, loads the demonstration fleet into a new one, and listens. */
export async function serve(config: Config): Promise<Running> {
  checkLogins(config);
  const log = createLog(config.log_level);
  const corral = await openCorral(config, { warn: (message, error) => log.warn({ err: error }, message) });
  try {
    return await listen(config, log, corral, await firstStart(corral, config.admin_token?.reveal(), config.demo ? loadDemo : undefined));
  } catch (error) {
    await corral.close();
    throw error;
  }
}

async function listen(config: Config, log: Logger, corral: Corral, adminToken: string | undefined): Promise<Running> {
  const allowed = parseAllowed(config.webhook_allow);
  const services = {
    store: corral.store,
    catalog: corral.catalog,
    db: corral.db,
    pool: corral.pool,
    hub: corral.hub,
    pages,
    bodyLimit: config.body_limit,
    bulkLimit: config.bulk_limit,
    version: VERSION,
    publicUrl: config.public_url,
    proxies: new Proxies(config.trusted_proxies),
    certificates: corral.certificates,
    limits: new Limits({ identity: config.rate_limit, address: config.rate_limit_address, store: config.rate_store }, corral.pool),
    login: loginSettings(config, corral.store.secrets),
  };
  const connections = { all: config.connections, address: config.connections_address };
  const tls = tlsServer(config, corral.certificates, log);
  const server = createHttpServer({ services, documents: corral.documents, log, tls: tls?.options, connections });
  tls?.serve(server);
  const cutAll = trackSockets(server);
  let active = 0;
  server.on('request', (_request, response) => {
    active++;
    response.once('close', () => active--);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.port, config.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const dispatcher = new Dispatcher({
    store: corral.store,
    catalog: corral.catalog,
    db: corral.db,
    hub: corral.hub,
    allowed,
    retryFor: config.webhook_retry_for,
    disableAfter: config.webhook_disable_after,
    logDays: config.webhook_log_days,
    warn: (message, error) => log.warn({ err: error }, message),
  });
  dispatcher.start();
  const stopSweeping = sweepLogins(corral.pool, (message, error) => log.warn({ err: error }, message));
  const stopClearing = clearIdempotency(corral.pool, (message, error) => log.warn({ err: error }, message));
  const stopSweepingCounts = sweepBuckets(corral.pool, (message, error) => log.warn({ err: error }, message));
  const stopForgetting = keepClearing(corral.pool, config.history_days, (message, error) => log.warn({ err: error }, message));
  const stopPruning = keepPruning(corral.pool, (message, error) => log.warn({ err: error }, message));
  const { address, port, family } = server.address() as AddressInfo;
  const url = config.public_url ?? `${tls?.options ? 'https' : 'http'}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  return {
    url,
    adminToken,
    firstLink: adminToken === undefined ? undefined : new URL(linkUrl({}, await makeLink(corral.db(), undefined)), url).href,
    corral,
    active: () => active,
    stop: async () => {
      /* Those that wait for news would wait for ever. */
      corral.hub.drain();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const deadline = Date.now() + config.stop_timeout * 1000;
      let quiet = 0;
      /* Connections that are kept alive, or say nothing, are no reason to wait: only requests are. */
      const timer = setInterval(() => {
        server.closeIdleConnections();
        quiet = active === 0 ? quiet + 1 : 0;
        if (quiet > 1 || Date.now() >= deadline) cutAll();
      }, 50);
      await closed;
      clearInterval(timer);
      tls?.close();
      await dispatcher.stop();
      stopClearing();
      stopSweeping();
      stopSweepingCounts();
      await stopForgetting();
      await stopPruning();
      await corral.close();
    },
  };
}
