import { nodeStatuses } from '../modules/reports/status.ts';
import { convergenceStates } from '../reports/convergence.ts';
import { Badge } from './value.tsx';

const States = ({ id, caption, states }: { id: string; caption: string; states: Readonly<Record<string, string>> }) => (
  <table class="schema" id={id}>
    <caption>{caption}</caption>
    <thead>
      <tr>
        <th scope="col">State</th>
        <th scope="col">When</th>
      </tr>
    </thead>
    <tbody>
      {Object.entries(states).map(([name, meaning]) => (
        <tr>
          <th scope="row">
            <Badge state={name} /> <code>{name}</code>
          </th>
          <td>{meaning}.</td>
        </tr>
      ))}
    </tbody>
  </table>
);

/** What the states of nodes, and of things on them, mean. */
export const StateTables = () => (
  <section aria-labelledby="states">
    <h2 id="states">States</h2>
    <States id="node-states" caption="Of a node (status): the first that is true" states={nodeStatuses} />
    <States id="convergence-states" caption="Of a thing on its host (convergence)" states={convergenceStates} />
  </section>
);
