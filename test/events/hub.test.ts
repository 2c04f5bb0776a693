import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { notifyStatus } from '../../src/db/notify.ts';
import { Hub } from '../../src/events/hub.ts';
import { testCorral } from '../support/corral.ts';

const corral = await testCorral();

/** A wire to PostgreSQL that can be made deaf: what comes from PostgreSQL is swallowed, and nothing breaks. */
async function wire() {
  const url = new URL(corral.databaseUrl);
  const path = `${url.searchParams.get('host')}/.s.PGSQL.5432`;
  const state = { deaf: false, connections: 0 };
  const open = new Set<Socket>();
  const server = createServer((client) => {
    state.connections++;
    const deaf = state.deaf;
    const there = connect(path);
    open.add(client).add(there);
    client.on('data', (chunk) => there.write(chunk));
    /* Deaf from the start: it answers what it is asked, as a pooler does, and gives no notifications. */
    there.on('data', (chunk: Buffer) => {
      if (!state.deaf || (deaf && !chunk.includes('probe'))) client.write(chunk);
    });
    for (const [one, other] of [
      [client, there],
      [there, client],
    ] as const)
      one.on('error', () => undefined).on('close', () => other.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url.searchParams.delete('host');
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as { port: number }).port);
  return {
    url: url.href,
    state,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + 5000; !condition(); await sleep(5)) if (performance.now() > end) expect.fail('it did not come to that');
}

const watcher = () => {
  const seen = { wakes: 0, ends: 0 };
  return { seen, subscriber: { wake: () => void seen.wakes++, end: () => void seen.ends++ } };
};

test('a connection that silently hears nothing more is noticed and opened again, and all look again; the log is told', async () => {
  const { url, state, close } = await wire();
  const warned: string[] = [];
  const hub = new Hub(url, { probeEvery: 100, warn: (message, error) => warned.push(`${message}: ${String(error)}`) });
  const { seen, subscriber } = watcher();
  hub.watch(1, subscriber);
  await until(() => seen.wakes === 1);
  await sleep(400);
  expect([seen.wakes, state.connections, warned]).toEqual([1, 1, []]);
  await notifyStatus(corral.db(), 1);
  await notifyStatus(corral.db(), 2);
  await until(() => seen.wakes === 2);
  state.deaf = true;
  await notifyStatus(corral.db(), 1);
  await until(() => state.connections > 1);
  state.deaf = false;
  await until(() => seen.wakes >= 3);
  expect(warned[0]).toContain('CORRAL_LISTEN_URL');
  await hub.close();
  expect(seen.ends).toBe(1);
  close();
});

test('behind something that gives no notifications, all look again at each probe', async () => {
  const { url, state, close } = await wire();
  state.deaf = true;
  const hub = new Hub(url, { probeEvery: 100 });
  const { seen, subscriber } = watcher();
  hub.watch(1, subscriber);
  await until(() => seen.wakes >= 3);
  expect(state.connections).toBeGreaterThanOrEqual(3);
  await hub.close();
  close();
});

test('without PostgreSQL it keeps trying, and ends when it is asked to', async () => {
  const warned: string[] = [];
  const hub = new Hub('postgres://corral@127.0.0.1:1/none', { warn: (message) => warned.push(message) });
  const { seen, subscriber } = watcher();
  hub.watch(1, subscriber);
  await until(() => warned.length >= 3);
  const begun = performance.now();
  await hub.close();
  expect([performance.now() - begun < 1000, seen]).toEqual([true, { wakes: 0, ends: 1 }]);
  expect(() => hub.watch(1, subscriber)).toThrow('stopping');
});
