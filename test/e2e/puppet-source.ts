/** Where the real run gets its documents: Corral itself when it is built, else the fault server. */
import { existsSync } from 'node:fs';
import { createServer, request as startRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startFaultServer, type FaultDocument } from './faults.ts';
import { CERTNAME, exampleDocument } from './puppet-table.ts';

export interface Source {
  name: string;
  url: string;
  token: string;
  caFile: string | undefined;
  /** A hypervisor that Puppet manages. */
  certname: string;
  document(): Promise<FaultDocument>;
  /** Every request that arrived, oldest first. */
  requests: { path: string; status: number }[];
  stop(): Promise<void>;
}

interface RunningCorral {
  url: string;
  adminToken: string;
  nodeToken(fqdn: string): string | Promise<string>;
  stop(): Promise<void>;
}

export async function openSource(): Promise<Source> {
  const built = resolve(import.meta.dirname, '../../dist/main.js');
  const starter = resolve(import.meta.dirname, 'corral.ts');
  return existsSync(built) && existsSync(starter) ? corralSource(starter) : faultSource();
}

async function faultSource(): Promise<Source> {
  const server = await startFaultServer({ documents: { [CERTNAME]: exampleDocument('41-9f2c0a1b2c3d4e5f') }, tls: true });
  return {
    name: 'the fault server in its good mode',
    url: server.url,
    token: server.token,
    caFile: server.caFile,
    certname: CERTNAME,
    document: () => Promise.resolve(server.documents[CERTNAME]!),
    requests: server.requests,
    stop: () => server.close(),
  };
}

async function corralSource(starter: string): Promise<Source> {
  const { startCorral } = (await import(pathToFileURL(starter).href)) as { startCorral(env: Record<string, string>): Promise<RunningCorral> };
  const corral = await startCorral({ CORRAL_DEMO: '1' });
  const counter = await countRequests(corral.url);
  const get = async (path: string, accept: string): Promise<string> => {
    const headers = { authorization: `Bearer ${corral.adminToken}`, accept };
    const answer = await fetch(corral.url + path, { headers });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.text();
  };
  const fleet = (await get('/documents', 'application/x-ndjson'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as FaultDocument);
  const hypervisor = fleet.find(
    ({ manager, enc }) => manager === 'puppet' && 'corral::hypervisor' in ((enc?.['classes'] as object | undefined) ?? {}),
  );
  if (hypervisor === undefined) throw new Error('the demonstration fleet has no hypervisor that Puppet manages');
  const certname = hypervisor.node;
  return {
    name: 'Corral',
    url: counter.url,
    token: await corral.nodeToken(certname),
    caFile: undefined,
    certname,
    document: async () => JSON.parse(await get(`/documents/${certname}`, 'application/json')) as FaultDocument,
    requests: counter.requests,
    stop: async () => {
      await counter.stop();
      await corral.stop();
    },
  };
}

/** A proxy that does nothing but take notes. */
async function countRequests(to: string) {
  const requests: { path: string; status: number }[] = [];
  const server = createServer((incoming, outgoing) => {
    const note = { path: incoming.url ?? '', status: 0 };
    requests.push(note);
    const { method, headers } = incoming;
    const onward = startRequest(new URL(note.path, to), { method, headers }, (answer) => {
      note.status = answer.statusCode ?? 0;
      outgoing.writeHead(note.status, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
