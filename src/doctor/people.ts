import { count, fail, ok, some, warn, type Check, type Finding } from './types.ts';

export const tokensCheck: Check = {
  name: 'tokens',
  needsDatabase: true,
  run: async ({ db }) => {
    const names = async (where: string): Promise<string[]> =>
      (await db.query<{ name: string }>(`select name from token where ${where} order by id`)).rows.map(({ name }) => name);
    const alive = '(expires_at is null or expires_at > now())';
    const out: Finding[] = [];
    /* Tokens of hosts end with the host; the others are somebody's to remember. */
    const endless = await names(`expires_at is null and kind not in ('node', 'server')`);
    if (endless.length > 0)
      out.push(
        warn(
          `${count(endless.length, 'token')} without an end: ${some(endless)}`,
          'Make new ones with --expires, or set expires_at: corral set token NAME expires_at=2027-01-01T00:00:00Z',
        ),
      );
    const soon = await names(`expires_at between now() and now() + interval '14 days'`);
    if (soon.length > 0)
      out.push(warn(`${count(soon.length, 'token ends', 'tokens end')} within 14 days: ${some(soon)}`, 'corral token rotate NAME, and set a new expires_at'));
    const unused = await names(`kind not in ('node', 'admin') and ${alive} and coalesce(last_used_at, created_at) < now() - interval '90 days'`);
    if (unused.length > 0)
      out.push(warn(`${count(unused.length, 'token was', 'tokens were')} not used for 90 days: ${some(unused)}`, 'corral token delete NAME'));
    return out.length > 0 ? out : [ok('all tokens end, and are used')];
  },
};

export const peopleCheck: Check = {
  name: 'people',
  needsDatabase: true,
  run: async ({ db, config }) => {
    const out: Finding[] = [];
    const { rows: plain } = await db.query<{ name: string }>(
      `select p.name from person p left join person_secret s on s.person_id = p.id where p.state = 'active' and s.totp is null
        and (p.admin or exists (select from binding b where b.role = 'admin' and (b.person_id = p.id or b.directory_group in (select g.name from person_group g where g.person_id = p.id))))
        and p.source <> 'oidc' order by p.id`,
    );
    const mend = 'Let them set one up at /account; CORRAL_SECOND_FACTOR=admins asks for it at the next login';
    if (plain.length > 0)
      out.push(
        (config.second_factor === 'optional' ? warn : ok)(
          `${count(plain.length, 'admin has', 'admins have')} no second factor: ${some(plain.map(({ name }) => name))}`,
          mend,
        ),
      );
    const { rows } = await db.query<{ people: number; admins: number; stale: number; first: number; idle: string[] }>(
      `select (select count(*)::int from person where state = 'active') as people, (select count(*)::int from person where state = 'active' and admin) as admins,
        (select count(*)::int from session where ends_at < now() - interval '2 hours' or seen_at < now() - make_interval(secs => idle) - interval '2 hours') as stale,
        (select count(*)::int from login_link where person_id is null and used_at is null and ends_at > now()) as first,
        array(select name from person where state = 'active' and coalesce(last_login, created_at) < now() - interval '180 days' order by id) as idle`,
    );
    const { people, admins, stale, first, idle } = rows[0]!;
    if (first > 0) out.push(warn('the link that makes the first person is still good', 'Use it, or wait until its hour is over'));
    if (people > 0 && admins === 0) out.push(warn('no person is admin: only tokens can say who may do what', 'corral update person NAME admin=true'));
    if (idle.length > 0)
      out.push(warn(`${count(idle.length, 'person', 'people')} did not log in for 180 days: ${some(idle)}`, 'corral update person NAME state=disabled'));
    if (stale > 0)
      out.push(
        warn(`${count(stale, 'session')} ended hours ago and ${stale === 1 ? 'is' : 'are'} still there`, 'Is corral serve running? It drops them every hour'),
      );
    return out.length > 0 ? out : [ok(people === 0 ? 'no people yet: corral person create NAME --admin' : `${count(people, 'person', 'people')} may log in`)];
  },
};

export const webhooksCheck: Check = {
  name: 'webhooks',
  needsDatabase: true,
  run: async ({ db }) => {
    const { rows } = await db.query<{ name: string; enabled: boolean; reason: string | null; failing: number | null; plain: boolean }>(
      `select name, enabled, disabled_reason as reason, floor(extract(epoch from now() - failing_since) / 60)::int as failing, url like 'http:%' as plain from webhook order by id`,
    );
    const out: Finding[] = [];
    for (const { name, enabled, reason, failing, plain } of rows) {
      if (!enabled && reason !== null)
        out.push(warn(`the webhook ${name} was disabled: ${reason}`, `Mend its receiver, then corral update webhook ${name} enabled=true`));
      else if (enabled && failing !== null)
        out.push(warn(`the webhook ${name} has failed for ${count(failing, 'minute')}`, `corral get webhook-deliveries webhook=${name} says why`));
      if (enabled && plain) out.push(warn(`the webhook ${name} goes out without TLS`, 'Give it an https:// URL'));
    }
    return out.length > 0 || rows.length === 0 ? out : [ok(`${count(rows.length, 'webhook works', 'webhooks work')}`)];
  },
};

/** The newest entries of the audit log that are looked at; corral audit verify looks at all. */
const ENTRIES = 10_000;

export const auditCheck: Check = {
  name: 'audit',
  needsDatabase: true,
  run: async ({ db }) => {
    const out: Finding[] = [];
    const { rows: triggers } = await db.query<{ kept: boolean; silent: string[] }>(
      `select exists (select from pg_trigger where tgrelid = 'audit_entry'::regclass and tgname = 'audit_keep' and tgenabled in ('O', 'A')) as kept,
        array(select t from unnest('{token,role,binding,person}'::text[]) t where not exists
          (select from pg_trigger where tgrelid = to_regclass(t) and tgname = 'audit_rights' and tgenabled in ('O', 'A'))) as silent`,
    );
    if (!triggers[0]!.kept)
      out.push(fail('the audit log can be altered: its trigger is off', 'alter table audit_entry enable trigger audit_keep; then corral audit verify'));
    for (const table of triggers[0]!.silent)
      out.push(
        fail(
          `changes of ${table} are not told to the audit log: its trigger is off`,
          `alter table ${table} enable trigger audit_rights; then look over who may do what`,
        ),
      );
    const { rows } = await db.query<{ checked: number; head: string | null; broken: number | null }>(
      `with newest as (select e as entry, e.number, e.hash from audit_entry e order by e.number desc limit ${ENTRIES + 1}),
        seen as (select n.number, n.hash, (lag(n.number) over w) as number_before, n.hash = audit_hash(lag(n.hash) over w, n.entry) as fits, row_number() over w as place from newest n window w as (order by n.number))
      select (count(*) filter (where place > 1 or number = 1))::int as checked, (select number || ':' || encode(hash, 'hex') from newest order by number desc limit 1) as head,
        (min(number) filter (where (place > 1 and (not fits or number <> number_before + 1)) or (number = 1 and not fits)))::float8 as broken from seen`,
    );
    const { checked, head, broken } = rows[0]!;
    if (broken !== null)
      out.push(
        fail(
          `entry ${broken} of the audit log does not fit the one before it: one of them was altered or taken out`,
          'corral audit verify says more; compare with a backup',
        ),
      );
    else out.push(ok(head === null ? 'the audit log is empty' : `the newest ${count(checked, 'entry', 'entries')} of the audit log fit; head ${head}`));
    return out;
  },
};
