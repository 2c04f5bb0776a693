/** The lines of the table of rights: each route of each noun. Those of all else are in matrix.others.ts. */
import { keyOf, type Row } from '../../src/db/read.ts';
import type { Model } from '../../src/db/catalog.ts';
import type { Fleet, Side } from './matrix.fleet.ts';

export type About = Side | 'missing';

export interface Ask {
  readonly path: string;
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Done before it is asked. */
  readonly first?: () => Promise<unknown>;
}

export interface Line {
  readonly group: string;
  readonly label: string;
  /** The route of the app that it is about. */
  readonly covers: string;
  /** The permission that it asks for, where one is enough to say it. */
  readonly needs?: string;
  /** What is asked of it; several: about the own thing, another's, and one that is not there. */
  readonly asks: readonly (Ask | undefined)[];
}

export const ABOUT: readonly About[] = ['own', 'other', 'missing'];
export const NEVER = 999_999_999;
export const html = { accept: 'text/html' };

/** Lines of one noun. */
export function linesOf(model: Model, fleet: Fleet): Line[] {
  const { resource, route } = model;
  const { noun } = resource;
  const base = `/api/v1/${route}`;
  const pair = fleet.things.get(noun) ?? {};
  const line = (method: string, below: string, needs: string | undefined, covers: string, asks: readonly (Ask | undefined)[]): Line => ({
    group: noun,
    label: `${method} ${below}`,
    covers,
    ...(needs === undefined ? {} : { needs }),
    asks: asks.map((ask) => ask && { method, ...ask }),
  });
  const idOf = (about: About): string | undefined => {
    if (about === 'missing') return model.pk === 'id' ? String(NEVER) : 'missing';
    const row = pair[about];
    return row && String(row[model.pk]);
  };
  const each = (make: (key: string, about: About) => Ask): (Ask | undefined)[] =>
    ABOUT.map((about) => {
      const key = idOf(about);
      return key === undefined ? undefined : make(key, about);
    });
  const keyed = (make: (key: string) => Ask): (Ask | undefined)[] =>
    ABOUT.map((about) => {
      const row = about === 'missing' ? undefined : pair[about];
      if (about !== 'missing' && !row) return undefined;
      return make(encodeURIComponent(row ? keyOf(model, row) : missingKey(model, pair)));
    });
  return [
    line('GET', base, `${noun}:read`, 'ALL /api/v1/*', [{ path: base }]),
    line(
      'GET',
      `${base}/<id>`,
      `${noun}:read`,
      'ALL /api/v1/*',
      each((key) => ({ path: `${base}/${key}` })),
    ),
    line(
      'GET',
      `${base}/<key>`,
      `${noun}:read`,
      'ALL /api/v1/*',
      keyed((key) => ({ path: `${base}/${key}` })),
    ),
    ...(resource.observed
      ? [
          line(
            'GET',
            `${base}/<id>/convergence`,
            `${noun}:read`,
            'ALL /api/v1/*',
            each((key) => ({ path: `${base}/${key}/convergence` })),
          ),
        ]
      : []),
    line(
      'GET',
      `${base}/<id>/history`,
      'change:read',
      'GET /api/v1/*',
      each((key) => ({ path: `${base}/${key}/history` })),
    ),
    line(
      'POST',
      base,
      `${noun}:create`,
      'ALL /api/v1/*',
      creations(noun, fleet).map((body) => ({ path: `${base}?dry_run=true`, body })),
    ),
    line(
      'PUT',
      `${base}/<id>`,
      `${noun}:update`,
      'ALL /api/v1/*',
      each((key) => ({ path: `${base}/${key}?dry_run=true`, body: {} })),
    ),
    line(
      'PUT',
      `${base}/<key>`,
      `${noun}:update`,
      'ALL /api/v1/*',
      keyed((key) => ({ path: `${base}/${key}?dry_run=true`, body: {} })),
    ),
    line(
      'PATCH',
      `${base}/<id>`,
      `${noun}:update`,
      'ALL /api/v1/*',
      each((key) => ({ path: `${base}/${key}?dry_run=true`, body: {} })),
    ),
    line(
      'DELETE',
      `${base}/<id>`,
      `${noun}:delete`,
      'ALL /api/v1/*',
      each((key) => ({ path: `${base}/${key}?dry_run=true` })),
    ),
    line('GET', `/forms/${route}`, `${noun}:create`, 'GET /forms/*', [{ path: `/forms/${route}`, headers: html }]),
    line(
      'GET',
      `/forms/${route}/<id>`,
      `${noun}:update`,
      'GET /forms/*',
      each((key) => ({ path: `/forms/${route}/${key}`, headers: html })),
    ),
  ];
}

/** A key of the noun's form that is nobody's. */
function missingKey(model: Model, pair: Partial<Record<Side, Row>>): string {
  const { key, noun } = model.resource;
  const forms: Readonly<Record<string, string>> = { address: '10.9.9.9', subnet: '10.9.0.0/28', audit_entry: '99999999' };
  if (forms[noun] !== undefined) return forms[noun];
  if (key[0] === 'uuid') return '00000000-0000-4000-8000-000000000000';
  return ['missing', ...(pair.own ? keyOf(model, pair.own).split(':').slice(1) : [])].join(':');
}

/** What is made in the own place, in another's, and in one that is not there; where a noun has no place, nothing valid. */
function creations(noun: string, { things }: Fleet): unknown[] {
  const refer = (target: string, about: About): unknown => (about === 'missing' ? NEVER : things.get(target)![about]!['id']);
  const made: Readonly<Record<string, (about: About) => unknown>> = {
    project: (about) => ({ customer: refer('customer', about), name: 'new' }),
    vm: (about) => ({ customer: refer('customer', about), method: 'KVM', cores: 1, ram: 2 ** 30, volumes: [{ size: 512 }] }),
    vm_interface: (about) => ({ vm: refer('vm', about) }),
    network_membership: (about) => ({ vm_interface: refer('vm_interface', about), network: 'lan', tagged: true }),
    snapshot: (about) => ({ volume: refer('volume', about), name: 'new' }),
    network: (about) => ({ name: 'new', customer: refer('customer', about) }),
    binding: (about) => ({ name: 'new', role: 'viewer', directory_group: 'x', customer: refer('customer', about) }),
    node: (about) => ({ fqdn: 'new.example.com', site: refer('site', about), roles: { hypervisor: { methods: ['KVM'], cores: 1, ram: 2 ** 30 } } }),
    node_interface: (about) => ({ node: refer('node', about), name: 'new' }),
    pool_attachment: (about) => ({ hypervisor: refer('hypervisor', about), storage_pool: about === 'own' ? 'pool-other' : 'pool-own' }),
    volume: (about) => ({ hypervisor: refer('hypervisor', about), storage_pool: about === 'other' ? 'pool-other' : 'pool-own', size: 512, type: 'raw' }),
  };
  const make = made[noun];
  return make ? ABOUT.map(make) : [{}];
}
