import type { Row } from '../db/read.ts';
import { isRecord } from '../kernel/codec.ts';
import { waitsFor, type Difference } from '../reports/convergence.ts';
import type { Change, Entry, LogLine } from '../reports/run.ts';
import { Badge, None, Time } from './value.tsx';
import { count } from './words.ts';

/** Fields that the panels show in their own way. */
export const shownByReport: ReadonlySet<string> = new Set(['resources', 'logs', 'counts']);

const tally = (counts: unknown): string =>
  isRecord(counts)
    ? Object.entries(counts)
        .filter(([, n]) => Number(n) > 0)
        .map(([name, n]) => `${count(Number(n))} ${name === 'noop' ? 'would change' : name}`)
        .join(', ')
    : '';

const ChangeLine = ({ change }: { change: Change }) => (
  <li>
    {change.property === null ? null : <b>{change.property}</b>} {change.before === null ? null : <code>{change.before}</code>}
    {change.after === null ? null : (
      <>
        {' → '}
        <code>{change.after}</code>
      </>
    )}
    {change.before === null && change.after === null ? change.message : null}
  </li>
);

const EntryRow = ({ entry }: { entry: Entry }) => (
  <tr role="row">
    <td role="cell" class="first" data-label="Resource">
      {entry.type}[{entry.title}]
    </td>
    <td role="cell" data-label="Result">
      <Badge state={entry.result} />
    </td>
    <td role="cell" data-label="What">
      <div class="long">
        {entry.error === null ? null : <p class="why">{entry.error}</p>}
        {entry.pending.length === 0 ? null : <p>{waitsFor(entry.pending as readonly Difference[])}</p>}
        {entry.changes.length === 0 || entry.result === 'failed' ? null : (
          <ul class="changes">
            {entry.changes.map((change) => (
              <ChangeLine change={change} />
            ))}
          </ul>
        )}
        {entry.source === null ? null : <span class="muted">{entry.source}</span>}
      </div>
    </td>
  </tr>
);

/** What a run changed and what failed, and what it logged. */
export const ReportPanels = ({ row }: { row: Row }) => {
  const entries = (row['resources'] ?? []) as readonly Entry[];
  const logs = (row['logs'] ?? []) as readonly LogLine[];
  return (
    <>
      <section class="related" aria-labelledby="resources">
        <h2 id="resources">
          Resources <span class="total">{tally(row['counts'])}</span>
        </h2>
        {entries.length === 0 ? (
          <p class="muted">None changed, failed or was skipped.</p>
        ) : (
          <div class="table">
            <table role="table">
              <caption class="unseen">Resources that did not simply stay as they were</caption>
              <thead role="rowgroup">
                <tr role="row">
                  {['Resource', 'Result', 'What'].map((name) => (
                    <th role="columnheader" scope="col">
                      {name}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody role="rowgroup">
                {entries.map((entry) => (
                  <EntryRow entry={entry} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
      <section class="related" aria-labelledby="logs">
        <h2 id="logs">Log</h2>
        {logs.length === 0 ? (
          <p class="muted">
            <None meaning="nothing" />
          </p>
        ) : (
          <ol class="log">
            {logs.map((line) => (
              <li class={line.level === 'err' ? 'bad' : line.level === 'warning' ? 'warn' : undefined}>
                <span class="muted">
                  {line.at === null ? null : <Time at={line.at} />} {line.level}
                </span>{' '}
                {line.source === null ? null : <b>{line.source}: </b>}
                {line.message}
              </li>
            ))}
          </ol>
        )}
      </section>
    </>
  );
};
