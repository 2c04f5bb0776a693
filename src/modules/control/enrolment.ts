import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { ref, type Resource } from '../../kernel/resource.ts';
import { Node } from '../place/node.ts';
import { EnrolmentToken } from './enrolment-token.ts';
import { Token } from './token.ts';

export const enrolmentStates = ['pending', 'approved', 'rejected', 'replaced'] as const;

/** Written by SQL: see enrolment.verbs.ts. */
export const Enrolment = defineEntity({
  name: 'enrolment',
  tableName: 'enrolment',
  properties: {
    ...base,
    uuid: p.uuid().defaultRaw('gen_random_uuid()').unique(),
    fqdn: p.text().index(),
    node: () => p.manyToOne(Node).nullable().index().deleteRule('cascade'),
    enrolment_token: () => p.manyToOne(EnrolmentToken).nullable().index().deleteRule('set null'),
    /** Ed25519. */
    public_key: p.blob().hidden(),
    state: p.text().default('pending'),
    address: p.text().nullable(),
    decided_by: p.text().nullable(),
    decided_at: p.datetime(3).nullable(),
    /** The time in the last statement that the host signed: neither that nor an older one is taken again. */
    signed_at: p.datetime(3).nullable(),
    /** Without the token there is no enrolment: who deletes it wants the host to be out. */
    token: () => p.manyToOne(Token).nullable().index().deleteRule('cascade'),
  },
  indexes: [{ name: 'enrolment_approved', expression: `create unique index enrolment_approved on enrolment (node_id) where state = 'approved'` }],
  checks: [
    { name: 'enrolment_public_key', expression: 'length(public_key) = 32' },
    { name: 'enrolment_state', expression: oneOf('state', enrolmentStates) },
    { name: 'enrolment_node', expression: `state <> 'approved' or node_id is not null` },
    { name: 'enrolment_token', expression: `token_id is null or state = 'approved'` },
  ],
});

export const enrolment: Resource = {
  noun: 'enrolment',
  plural: 'enrolments',
  title: 'Enrolment',
  summary: 'A host that asked to be let in as a node, with the key that it made.',
  area: 'Control',
  entity: Enrolment,
  key: ['uuid'],
  label: 'fqdn',
  fields: {
    uuid: z.uuid().describe('What it is called.'),
    fqdn: z.string().describe('The name that the host gave.'),
    state: z
      .enum(enrolmentStates)
      .describe('pending waits for an operator; approved is in; rejected is not, or no more; replaced was in until the same node enrolled anew.'),
    node: ref('node').nullable().describe('The node that it is let in as.'),
    enrolment_token: ref('enrolment_token').nullable().describe('What it enrolled with; null: that was deleted.'),
    address: z.string().nullable().describe('Where it came from.'),
    decided_by: z.string().nullable().describe('Who approved or rejected it.'),
    decided_at: z.iso.datetime().nullable().describe('When.'),
    signed_at: z.iso.datetime().nullable().describe('When it asked for a token last.'),
    token: ref('token').nullable().describe('The node token that it has now. When that is deleted the enrolment is.'),
  },
  computed: {
    fingerprint: {
      schema: z.string().describe("SHA-256 of the host's public key, as the host shows it: compare them before you approve."),
      sql: (t) => sql`'SHA256:' || rtrim(encode(sha256(${sql.id(t)}.public_key), 'base64'), '=')`,
      type: 'text',
    },
  },
  readOnly: true,
  sort: '-id',
  columns: ['fqdn', 'state', 'fingerprint', 'address', 'created_at', 'decided_by', 'signed_at'],
};
