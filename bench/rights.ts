// (r) The list of a customer with 50 of 200,000 virtual machines, against the same list for an admin of a fleet that has 50.
import { openCorral, type Corral } from '../src/corral.ts';
import { createThing } from '../src/db/write.ts';
import { generateFleet } from '../src/fleet/generate.ts';
import { loadConfig } from '../src/kernel/config.ts';
import { ADMIN, get, load, median, scratch, startServer, type Line, type Server } from './support.ts';

const OWN = 50;
const ALL = 200_000;
const ROUNDS = 5;
const SECONDS = 3;

interface Rig {
  readonly server: Server;
  readonly token: string;
  close(): Promise<void>;
}

/** A server on a fleet of 50 virtual machines, and if asked many more of others beside them; with a token for those 50. */
async function rig(others: number): Promise<Rig> {
  const folder = scratch();
  const env = { CORRAL_DATA: folder.path, CORRAL_DEMO: '0', CORRAL_LOG_LEVEL: 'silent', CORRAL_ADMIN_TOKEN: ADMIN };
  const corral: Corral = await openCorral(loadConfig(env).config);
  await generateFleet(corral, { nodes: 10, vms: OWN, seed: 1 });
  const make = (noun: string, input: Record<string, unknown>) => createThing(corral.store, corral.catalog.byNoun(noun), input);
  await make('customer', { name: 'mine' });
  await corral.pool.query(`update vm set customer_id = (select id from customer where name = 'mine'), project_id = null`);
  /* Rows alone, for what is measured reads nothing else: without triggers, so that hosts are not asked to hold them. */
  const client = await corral.pool.connect();
  await client.query(`set session_replication_role = replica`);
  await client.query(
    `insert into vm (name, customer_id, hypervisor_id, method, cores, cores_max, ram, ram_max)
      select 'other-' || i, (select min(id) from customer where name <> 'mine'), (select min(id) from hypervisor), 'KVM', 1, 1, 1048576, 1048576 from generate_series(1, $1::int) as i`,
    [others],
  );
  client.release(true);
  await corral.pool.query('vacuum analyze');
  let token = ADMIN;
  if (others > 0) {
    token = String((await make('token', { name: 'mine', kind: 'program' }))['token']);
    await make('binding', { name: 'mine', token: 'mine', role: 'customer-user', customer: 'mine' });
  }
  await corral.close();
  const server = await startServer(folder.path, { CORRAL_LOG_LEVEL: 'silent', CORRAL_RATE_LIMIT: '0' });
  return {
    server,
    token,
    close: async () => {
      await server.stop();
      folder.remove();
    },
  };
}

export async function rights(): Promise<Line[]> {
  const small = await rig(0);
  const large = await rig(ALL - OWN);
  const once = async ({ server, token }: Rig): Promise<number> => {
    const { perSecond } = await load({
      port: Number(new URL(server.url).port),
      requests: [get('/api/v1/vms?limit=100', token)],
      connections: 4,
      seconds: SECONDS,
    });
    return 1000 / perSecond;
  };
  try {
    const mine: number[] = [];
    const ratios: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const admin = await once(small);
      const customer = await once(large);
      mine.push(customer);
      ratios.push(customer / admin);
    }
    const ratio = median(ratios);
    return [
      {
        part: 'r',
        what: `list of ${OWN} of ${ALL} VMs for their customer (against an admin of a fleet of ${OWN})`,
        value: median(mine),
        unit: 'ms',
        against: median(mine) / ratio,
        ratio,
        target: '<= 1.2',
        met: ratio <= 1.2,
      },
    ];
  } finally {
    await small.close();
    await large.close();
  }
}
