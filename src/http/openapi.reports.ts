import type { Model } from '../db/catalog.ts';
import { convergenceStates } from '../reports/convergence.ts';

type Json = Record<string, unknown>;

const time = { type: ['string', 'null'], format: 'date-time' };

/** What `/convergence` and `include=convergence` give. */
export function convergenceSchema(): Json {
  return {
    type: 'object',
    description: 'How far the hosts are with a thing; of several hosts the one that is furthest behind, and all of them in `hosts`.',
    properties: {
      node: { type: ['string', 'null'], description: 'The host.' },
      state: {
        type: 'string',
        enum: Object.keys(convergenceStates),
        description: Object.entries(convergenceStates)
          .map(([name, meaning]) => `${name}: ${meaning}.`)
          .join(' '),
      },
      asked_at: { ...time, description: 'When what holds now was asked for.' },
      served_at: { ...time, description: 'When the run began that was given the newest document; null: none was.' },
      applied_at: { ...time, description: 'When it was applied; null: it was not.' },
      observed_at: { ...time, description: 'When its host last said how it is.' },
      desired: { type: 'string' },
      observed: { type: ['string', 'null'] },
      pending: { type: 'array', description: 'What waits for the next start: property, current, wanted, reason.', items: { type: 'object' } },
      why_not: { type: ['string', 'null'], description: 'Why it is not converged, in a sentence.' },
      hosts: { type: 'array', description: 'The same of each host, where there are more than one.', items: { type: 'object' } },
    },
  };
}

/** The path below a thing that hosts build. */
export function convergencePath(model: Model, responses: Json): Json {
  return {
    [`/api/v1/${model.route}/{key}/convergence`]: {
      parameters: [{ name: 'key', in: 'path', required: true, schema: { type: 'string' }, description: `The id, or ${model.resource.key.join(':')}.` }],
      get: {
        tags: [model.resource.area],
        operationId: `get_${model.resource.noun}_convergence`,
        summary: `How far the hosts are with a ${model.resource.title}`,
        responses: {
          200: { description: 'How far.', content: { 'application/json': { schema: { $ref: '#/components/schemas/Convergence' } } } },
          ...responses,
        },
      },
    },
  };
}

/** What hosts and their servers send back. */
export function reportPaths(errors: Json): Json {
  const post = (summary: string, description: string, types: readonly string[], answer: string, parameters: readonly Json[] = []): Json => ({
    post: {
      tags: ['Reports'],
      summary,
      description: `${description} Bodies may be packed (Content-Encoding: gzip).`,
      parameters,
      requestBody: { required: true, content: Object.fromEntries(types.map((type) => [type, { schema: { type: 'object' } }])) },
      responses: { 200: { description: answer }, ...errors },
    },
  });
  const query = (name: string, description: string): Json => ({ name, in: 'query', required: true, schema: { type: 'string' }, description });
  return {
    '/reports/puppet': post(
      "Take in Puppet's report",
      "The report as JSON (report.to_data_hash, formats 10 to 12), or the YAML that Puppet's report processor `http` posts. One of a (node, transaction_uuid) is stored once. Node tokens may report for their node, server and admin tokens for all.",
      ['application/json', 'application/x-yaml'],
      'Stored, or known already: node, run and outcome.',
    ),
    '/reports/salt': post(
      "Take in Salt's job return",
      'A return of state.apply, state.highstate or state.sls: id, jid, fun, return, and test, started, finished. One of a (node, jid) is stored once.',
      ['application/json'],
      'Stored, or known already: node, run and outcome.',
    ),
    '/heartbeats': post(
      'Take in a heartbeat',
      'node, boot_id, uptime (s), load, memory and disks (bytes), document (the version applied), run, domains with uuid and state; now and then observation: facts and things.',
      ['application/json'],
      'interval: seconds to the next; document: its newest version; spread.',
    ),
    '/pdb/cmd/v1': post(
      "Take in a command of PuppetDB's wire",
      'store_report (5 to 8) and replace_facts (4, 5) are taken in; replace_catalog is dropped; deactivate_node takes no node out. For puppet-terminus-puppetdb.',
      ['application/json'],
      'uuid.',
      [query('command', 'The command.'), query('version', 'The version of its form.'), query('certname', 'The node.')],
    ),
  };
}
