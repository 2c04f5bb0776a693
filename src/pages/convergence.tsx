import type { Child } from 'hono/jsx';
import { convergenceStates, type Convergence, type HostConvergence } from '../reports/convergence.ts';
import { keyHref } from './link.ts';
import type { PageContext } from './types.ts';
import { Badge, None, Time } from './value.tsx';

const At = ({ at }: { at: string | null }) => (at === null ? <None meaning="not yet" /> : <Time at={at} />);

const Step = ({ name, children }: { name: string; children?: Child }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);

const Host = ({ context, host }: { context: PageContext; host: HostConvergence }) => (
  <>
    {host.why_not === null ? null : <p class="why">{host.why_not}</p>}
    <dl class="facts">
      <Step name="Asked to be">
        <Badge state={host.desired} /> <At at={host.asked_at} />
      </Step>
      <Step name="Served">
        <At at={host.served_at} />
      </Step>
      <Step name="Applied">
        <At at={host.applied_at} />
      </Step>
      <Step name="Seen as">
        {host.observed === null ? <None meaning="not seen" /> : <Badge state={host.observed} />}{' '}
        {host.observed_at === null ? null : <Time at={host.observed_at} />}
      </Step>
      {host.node === null ? null : (
        <Step name="Host">
          <a href={keyHref(context.catalog.byNoun('node'), host.node)}>{host.node}</a>
        </Step>
      )}
    </dl>
  </>
);

/** Asked at, served at, applied at, and why not. */
export const ConvergencePanel = ({ context, convergence }: { context: PageContext; convergence: Convergence }) => (
  <section class="panel" aria-labelledby="convergence">
    <h2 id="convergence">
      On its host <Badge state={convergence.state} />
    </h2>
    {convergence.why_not === null ? <p class="muted">{convergenceStates[convergence.state]}.</p> : null}
    <Host context={context} host={convergence} />
    {convergence.hosts === undefined ? null : (
      <details>
        <summary>All {convergence.hosts.length} hosts</summary>
        {convergence.hosts.map((host) => (
          <>
            <h3>
              {host.node} <Badge state={host.state} />
            </h3>
            <Host context={context} host={host} />
          </>
        ))}
      </details>
    )}
  </section>
);
