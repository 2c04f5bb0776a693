/** Lines of the table of rights for all that is no noun's. */
import { OTHER_NODE, OWN_NODE, puppetReport, saltReport, type Fleet } from './matrix.fleet.ts';
import { ABOUT, html, NEVER, type About, type Ask, type Line } from './matrix.lines.ts';

const NODES: Readonly<Record<About, string>> = { own: OWN_NODE, other: OTHER_NODE, missing: 'no-such.example.com' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };

export function otherLines({ things, waiting }: Fleet): Line[] {
  const out: Line[] = [];
  const add = (group: string, covers: string, asks: Ask | readonly Ask[], needs?: string, label?: string): void => {
    out.push({
      group,
      label: label ?? covers,
      covers,
      ...(needs === undefined ? {} : { needs }),
      asks: Array.isArray(asks) ? (asks as readonly Ask[]) : [asks as Ask],
    });
  };
  const id = (noun: string, about: About): string => (about === 'missing' ? String(NEVER) : String(things.get(noun)![about]!['id']));
  const all = (make: (about: About) => Ask): Ask[] => ABOUT.map(make);

  for (const path of ['/healthz', '/readyz', '/style.css', '/favicon.ico']) add('open', `GET ${path}`, { path });
  for (const path of ['/login', '/login/factor', '/login/first', '/login/oidc', '/login/oidc/callback']) add('open', `GET ${path}`, { path, headers: html });
  for (const path of ['/login', '/login/factor', '/login/first', '/logout']) add('open', `POST ${path}`, { path, method: 'POST', headers: form, body: '' });
  for (const path of ['/account', '/account/factor']) add('account', `GET ${path}`, { path, headers: html });
  for (const path of ['/account/password', '/account/factor', '/account/factor/confirm', '/account/factor/remove', '/account/codes', '/account/sessions'])
    add('account', `POST ${path}`, { path, method: 'POST', headers: { ...form, ...html }, body: path.endsWith('sessions') ? 'session=none' : '' });

  for (const path of ['/', '/openapi.json', '/docs', '/api/v1']) add('everybody', `GET ${path}`, { path, headers: path === '/docs' ? html : {} });
  for (const path of ['/', '/openapi.json', '/docs', '/documents', '/healthz', '/readyz', '/style.css', '/api/v1'])
    add('everybody', `ALL ${path}`, { path, method: 'POST', body: {} }, undefined, `POST ${path}`);

  add('documents', 'GET /documents', { path: '/documents' }, 'document:read');
  for (const name of ['enc', 'hiera', 'pillar', 'tops', 'documents'])
    add(
      'documents',
      `GET /${name}/<node>`,
      all((about) => ({ path: `/${name}/${NODES[about]}` })),
      'document:read',
    );
  add(
    'documents',
    'GET /hiera/<node>/<key>',
    all((about) => ({ path: `/hiera/${NODES[about]}/corral::node` })),
    'document:read',
  );
  add(
    'documents',
    'GET /documents/<node>/events',
    all((about) => ({ path: `/documents/${NODES[about]}/events`, headers: { accept: 'text/event-stream' } })),
    'document:read',
  );
  for (const [path, label] of [
    ['/enc/', 'GET /enc/<node>?at='],
    ['/hiera/', 'GET /hiera/<node>?at='],
  ] as const)
    add(
      'documents',
      label,
      all((about) => ({ path: `${path}${NODES[about]}?at=2100-01-01T00:00:00Z` })),
      'document:read',
    );
  add(
    'documents',
    'GET /enc/<id>?at=',
    all((about) => ({ path: `/enc/${id('node', about)}?at=2100-01-01T00:00:00Z` })),
    'document:read',
  );
  add(
    'documents',
    'GET /:envelope{enc|hiera|pillar|tops|documents}/:name',
    all((about) => ({ path: `/enc/${NODES[about]}`, headers: html })),
    'document:read',
    'GET /<envelope>/<node> as a page',
  );
  add(
    'documents',
    'GET /documents/:name/diff',
    all((about) => ({ path: `/documents/${NODES[about]}/diff` })),
    'document:read',
    'GET /documents/<node>/diff',
  );
  for (const prefix of ['/api/v1/nodes', '/nodes']) {
    add(
      'documents',
      `ALL ${prefix}/:node/:explain{explain(?:\\.(?:json|msgpack|html))?}`,
      all((about) => ({ path: `${prefix}/${NODES[about]}/explain` })),
      'node:read',
      `GET ${prefix}/<node>/explain`,
    );
    add(
      'documents',
      `ALL ${prefix}/:node/explain/:key{.+}`,
      all((about) => ({ path: `${prefix}/${NODES[about]}/explain/corral::node` })),
      'node:read',
      `GET ${prefix}/<node>/explain/<key>`,
    );
  }

  add('changes', 'GET /watch', { path: '/watch', headers: { accept: 'text/event-stream' } }, 'change:read');
  for (const base of ['/changes', '/api/v1/changes']) {
    for (const path of [base, `${base}.json`, `${base}.msgpack`, `${base}.html`]) {
      add('changes', `GET ${path}`, { path }, 'change:read');
      add('changes', `HEAD ${path}`, { path, method: 'HEAD' }, 'change:read');
    }
    add('changes', `GET ${base}/:number`, [{ path: `${base}/1` }, { path: `${base}/${NEVER}` }], 'change:read');
    add(
      'changes',
      `HEAD ${base}/:number`,
      [
        { path: `${base}/1`, method: 'HEAD' },
        { path: `${base}/${NEVER}`, method: 'HEAD' },
      ],
      'change:read',
    );
    add(
      'changes',
      `POST ${base}/:number/revert`,
      [
        { path: `${base}/1/revert?dry_run=true`, method: 'POST', body: {} },
        { path: `${base}/${NEVER}/revert`, method: 'POST', body: {} },
      ],
      'change:revert',
    );
    for (const path of ['', '/:number', '/:number/revert'])
      add('changes', `ALL ${base}${path}`, { path: base + path.replace(':number', '1'), method: 'DELETE' }, undefined, `DELETE ${base}${path}`);
  }
  add('changes', 'HEAD /api/v1/*', { path: `/api/v1/sites/${id('site', 'own')}/history`, method: 'HEAD' }, 'change:read', 'HEAD /api/v1/<nouns>/<id>/history');

  add(
    'verbs',
    'POST /api/v1/webhook-deliveries/:id{[0-9]{1,15}}/redeliver',
    all((about) => ({ path: `/api/v1/webhook-deliveries/${id('webhook_delivery', about)}/redeliver`, method: 'POST', body: {} })),
    'webhook:update',
    'POST /api/v1/webhook-deliveries/<id>/redeliver',
  );
  add(
    'verbs',
    'ALL /api/v1/webhook-deliveries/:id{[0-9]{1,15}}/redeliver',
    { path: `/api/v1/webhook-deliveries/${id('webhook_delivery', 'own')}/redeliver` },
    undefined,
    'GET /api/v1/webhook-deliveries/<id>/redeliver',
  );
  add(
    'verbs',
    'POST /api/v1/tokens/:key/rotate',
    all((about) => ({ path: `/api/v1/tokens/${id('token', about)}/rotate`, method: 'POST', body: {} })),
    'token:update',
  );
  add('verbs', 'ALL /api/v1/tokens/:key/rotate', { path: `/api/v1/tokens/${NEVER}/rotate` }, undefined, 'GET /api/v1/tokens/:key/rotate');
  for (const path of ['/bulk', '/api/v1/bulk']) {
    add(
      'verbs',
      `POST ${path}`,
      all((about) => ({ path: `${path}?dry_run=true`, method: 'POST', body: { operations: [{ op: 'update', noun: 'vm', key: id('vm', about), body: {} }] } })),
      'vm:update',
      `POST ${path} (update of a vm)`,
    );
    add('verbs', `ALL ${path}`, { path }, undefined, `GET ${path}`);
  }
  add(
    'verbs',
    'POST /api/v1/people/:key/reset',
    all((about) => ({ path: `/api/v1/people/${id('person', about)}/reset`, method: 'POST', body: {} })),
    'person:update',
  );
  for (const path of ['second-factor', 'sessions']) {
    add(
      'verbs',
      `DELETE /api/v1/people/:key/${path}`,
      all((about) => ({ path: `/api/v1/people/${id('person', about)}/${path}`, method: 'DELETE' })),
      'person:update',
    );
    add(
      'verbs',
      `POST /api/v1/people/:key/${path}`,
      all((about) => ({ path: `/api/v1/people/${id('person', about)}/${path}`, method: 'POST', headers: form, body: '_method=DELETE' })),
      'person:update',
    );
    add('verbs', `ALL /api/v1/people/:key/${path}`, { path: `/api/v1/people/${id('person', 'own')}/${path}` }, undefined, `GET /api/v1/people/:key/${path}`);
  }
  add('verbs', 'ALL /api/v1/people/:key/reset', { path: `/api/v1/people/${id('person', 'own')}/reset` }, undefined, 'GET /api/v1/people/:key/reset');
  add('verbs', 'DELETE /api/v1/sessions/:uuid', { path: '/api/v1/sessions/00000000-0000-4000-8000-000000000000', method: 'DELETE' }, 'session:delete');
  add('hosts that enrol', 'POST /enrolments', { path: '/enrolments', method: 'POST', body: {} });
  add('hosts that enrol', 'POST /enrolments/:uuid/token', { path: '/enrolments/00000000-0000-4000-8000-000000000000/token', method: 'POST', body: {} });
  for (const path of ['/enrolments', '/enrolments/:uuid/token'])
    add('hosts that enrol', `ALL ${path}`, { path: path.replace(':uuid', 'x') }, undefined, `GET ${path}`);
  for (const verdict of ['approve', 'reject']) {
    const key = (about: About): unknown => (about === 'missing' ? '00000000-0000-4000-8000-000000000000' : things.get('enrolment')![about]!['uuid']);
    const path = (about: About): string => `/api/v1/enrolments/${String(key(about))}/${verdict}`;
    add(
      'verbs',
      `POST /api/v1/enrolments/:key/${verdict}`,
      all((about) => ({ path: path(about), method: 'POST', body: {}, first: waiting })),
      'enrolment:update',
    );
    add('verbs', `ALL /api/v1/enrolments/:key/${verdict}`, { path: path('own') }, undefined, `GET /api/v1/enrolments/:key/${verdict}`);
  }
  add('verbs', 'ALL /api/v1/*', { path: '/api/v1/no-such-nouns' }, undefined, 'GET /api/v1/<no noun>');

  const yaml = { 'content-type': 'application/x-yaml' };
  add(
    'reports',
    'POST /reports/puppet',
    all((about) => ({ path: '/reports/puppet', method: 'POST', headers: yaml, body: puppetReport(NODES[about]) })),
    'report:create',
  );
  add(
    'reports',
    'POST /reports/salt',
    all((about) => ({ path: '/reports/salt', method: 'POST', headers: { 'content-type': 'application/json' }, body: saltReport(NODES[about]) })),
    'report:create',
  );
  add(
    'reports',
    'POST /heartbeats',
    all((about) => ({ path: '/heartbeats', method: 'POST', body: { node: NODES[about] } })),
    'report:create',
  );
  add(
    'reports',
    'POST /pdb/cmd/v1',
    all((about) => ({ path: `/pdb/cmd/v1?command=replace_catalog&version=9&certname=${NODES[about]}`, method: 'POST', body: {} })),
    'report:create',
  );
  for (const path of ['/reports/puppet', '/reports/salt', '/heartbeats', '/pdb/cmd/v1']) add('reports', `ALL ${path}`, { path }, undefined, `GET ${path}`);
  return out;
}
