import type { Child } from 'hono/jsx';
import type { Row } from '../db/read.ts';
import { isRecord } from '../kernel/codec.ts';
import { nodeStatuses, type NodeStatusName } from '../modules/reports/status.ts';
import type { Convergence } from '../reports/convergence.ts';
import { listHref } from './link.ts';
import type { PageContext } from './types.ts';
import { Badge, Bytes, None, Time } from './value.tsx';
import { count } from './words.ts';

/** Computed fields that the panel shows in its own way. */
export const shownByPanel: ReadonlySet<string> = new Set([
  'status',
  'up_to_date',
  'document',
  'run',
  'heartbeat',
  'unknown_domains',
  'reported_at',
  'heartbeat_at',
]);

const Fact = ({ name, children }: { name: string; children?: Child }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);

const Version = ({ version, at }: { version: unknown; at: unknown }) =>
  typeof version === 'string' ? (
    <>
      <code>{version}</code> {typeof at === 'string' ? <Time at={at} /> : null}
    </>
  ) : (
    <None meaning="none yet" />
  );

function duration(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return days > 0 ? `${days} d ${hours} h` : hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min`;
}

const Space = ({ space }: { space: unknown }) =>
  isRecord(space) && typeof space['total'] === 'number' && typeof space['free'] === 'number' ? (
    <>
      <Bytes bytes={space['free']} /> free of <Bytes bytes={space['total']} />
    </>
  ) : null;

const Heartbeat = ({ beat }: { beat: unknown }) => {
  if (!isRecord(beat)) return <Fact name="Heartbeat">{<None meaning="none yet" />}</Fact>;
  const load = Array.isArray(beat['load']) ? beat['load'].map((one) => Number(one).toFixed(2)).join(' ') : undefined;
  return (
    <>
      <Fact name="Heartbeat">
        <Time at={String(beat['at'])} />
        {typeof beat['uptime'] === 'number' ? <span class="muted"> up {duration(beat['uptime'])}</span> : null}
        {load === undefined ? null : <span class="muted"> load {load}</span>}
      </Fact>
      <Fact name="Memory">
        <Space space={beat['memory']} />
      </Fact>
      {Object.entries(isRecord(beat['disks']) ? beat['disks'] : {}).map(([path, space]) => (
        <Fact name={`Disk ${path}`}>
          <Space space={space} />
        </Fact>
      ))}
    </>
  );
};

/** What a node last said of itself. */
export const NodeStatusPanel = ({ context, row, convergence }: { context: PageContext; row: Row; convergence: Convergence | undefined }) => {
  const status = String(row['status']) as NodeStatusName;
  const document = isRecord(row['document']) ? row['document'] : {};
  const run = isRecord(row['run']) ? row['run'] : {};
  const unknown = Number(row['unknown_domains'] ?? 0);
  const of = (noun: string, more: Readonly<Record<string, string>> = {}): string =>
    `${listHref(context.catalog.byNoun(noun))}?${new URLSearchParams({ node: String(row['fqdn']), ...more }).toString()}`;
  return (
    <section class="panel" aria-labelledby="convergence">
      <h2 id="convergence">
        Status <Badge state={status} />
      </h2>
      <p class="muted">{nodeStatuses[status]}.</p>
      {convergence?.why_not ? <p class="why">{convergence.why_not}</p> : null}
      <dl class="facts">
        <Fact name="Newest document">
          <Version version={document['current']} at={document['built_at']} />
        </Fact>
        <Fact name="Served">
          <Version version={document['served']} at={document['served_at']} />
        </Fact>
        <Fact name="Applied">
          <Version version={document['applied']} at={document['applied_at']} />
        </Fact>
        <Fact name="Last report">
          {row['reported_at'] == null ? <None meaning="none yet" /> : <Time at={String(row['reported_at'])} />}
          {run['outcome'] == null ? null : (
            <>
              {' '}
              <Badge state={String(run['outcome'])} />
            </>
          )}{' '}
          <a href={of('report')}>All reports</a>
        </Fact>
        {run['message'] == null || convergence?.why_not?.includes(String(run['message'])) ? null : <Fact name="Error">{String(run['message'])}</Fact>}
        {run['running_since'] == null ? null : (
          <Fact name="A run is under way">
            since <Time at={String(run['running_since'])} />
          </Fact>
        )}
        {Number(run['restarts']) > 0 ? <Fact name="Waiting for a restart">{count(Number(run['restarts']))}</Fact> : null}
        <Heartbeat beat={row['heartbeat']} />
        {unknown > 0 ? (
          <Fact name="Unknown domains">
            <a href={of('observation', { kind: 'domain', managed: 'false' })}>{count(unknown)} that Corral did not make</a>
          </Fact>
        ) : null}
      </dl>
    </section>
  );
};
