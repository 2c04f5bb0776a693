import { defineEntity, p } from '@mikro-orm/core';
import { base } from '../../db/base.ts';
import { Person } from './person.ts';

/** What a person proves who they are with. Never shown, and in no change. */
export const PersonSecret = defineEntity({
  name: 'person_secret',
  tableName: 'person_secret',
  properties: {
    person: () => p.oneToOne(Person).owner().primary().deleteRule('cascade'),
    /** Argon2id in PHC string form. */
    password: p.text().nullable(),
    password_at: p.datetime(3).nullable(),
    /** Secret of the authenticator app, sealed: see totpContext. */
    totp: p.text().nullable(),
    /** The one that is being set up, until its first code. */
    totp_new: p.text().nullable(),
    /** Time step of the last code that was taken: neither it nor an older one is taken again. */
    totp_step: p.bigint('number').default(0),
    /** SHA-256 of the recovery codes that are left, in hexadecimal. */
    recovery: p.array().default([]),
  },
});

/** The directory groups that a person was in at the last login. */
export const PersonGroup = defineEntity({
  name: 'person_group',
  tableName: 'person_group',
  properties: {
    person: () => p.manyToOne(Person).primary().deleteRule('cascade'),
    name: p.text().primary(),
  },
  indexes: [{ properties: ['name'] }],
});

/** A link with which a person sets a password, once; without a person: the first one is made. */
export const LoginLink = defineEntity({
  name: 'login_link',
  tableName: 'login_link',
  properties: {
    id: base.id,
    /** SHA-256 of its 256 random bits. */
    hash: p.blob().unique().hidden(),
    person: () => p.manyToOne(Person).nullable().index().deleteRule('cascade'),
    created_at: base.created_at,
    ends_at: p.datetime(3),
    used_at: p.datetime(3).nullable(),
  },
  checks: [{ name: 'login_link_hash', expression: 'length(hash) = 32' }],
});

/** Requests, by who asks or from where: see src/limits/shared.ts. */
export const RateLimit = defineEntity({
  name: 'rate_limit',
  tableName: 'rate_limit',
  properties: {
    key: p.text().primary(),
    /** When its bucket is full, in seconds since 1970. */
    full_at: p.double(),
    granted: p.double(),
  },
});

/** Attempts to log in, by what they are counted for: see src/auth/people/throttle.ts. */
export const LoginThrottle = defineEntity({
  name: 'login_throttle',
  tableName: 'login_throttle',
  properties: {
    key: p.text().primary(),
    failures: p.integer().default(0),
    at: p.datetime(3).defaultRaw('now()'),
    /** The next attempt is looked at from then on. */
    until: p.datetime(3).defaultRaw('now()'),
  },
  indexes: [{ properties: ['at'] }],
});
