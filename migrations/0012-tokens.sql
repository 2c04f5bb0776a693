-- Tokens that end, say from where they are used, may less than their owner, and are renewed with an overlap.

alter table "token" add column "person_id" bigint null, add column "scopes" text[] not null default '{}', add column "sources" cidr[] not null default '{}', add column "expires_at" timestamptz(3) null, add column "last_used_at" timestamptz(3) null, add column "last_used_from" text null, add column "old_hash" bytea null, add column "old_until" timestamptz(3) null;
alter table "token" add constraint "token_old_hash_unique" unique ("old_hash");
create index "token_person_id_index" on "token" ("person_id");
alter table "token" add constraint "token_person_id_foreign" foreign key ("person_id") references "person" ("id") on delete cascade;
alter table "token" add constraint "token_old_hash" check (length(old_hash) = 32 and (old_hash is null) = (old_until is null));

-- The id of the token of this hash, or whose hash it was until a moment ago.
create function token_of(h bytea) returns bigint language sql stable as $$
  select coalesce((select t.id from token t where t.hash = h), (select t.id from token t where t.old_hash = h and t.old_until > now()))
$$;

create or replace function audit_rights() returns trigger language plpgsql as $$
declare
  left_out text[] := '{hash,old_hash,version,created_at,updated_at,last_login,last_used_at,last_used_from}';
  o jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) - left_out end;
  n jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) - left_out end;
begin
  if o is not distinct from n or current_setting('corral.plan', true) = 'on' then return null; end if;
  perform audit_append('rights', coalesce(nullif(current_setting('corral.actor', true), ''), 'postgresql:' || session_user), null, null,
    nullif(current_setting('corral.request_id', true), ''), jsonb_strip_nulls(jsonb_build_object('noun', tg_table_name, 'op', lower(tg_op), 'before', o, 'after', n)));
  return null;
end $$;
