-- Processes keep who tokens belong to and which version of its document a node has; a row here says what of that became
-- wrong, by the transaction that did it. With each batch of requests they ask for those of transactions that they have not
-- seen, in one small statement (src/documents/lookup.load.ts), and so answer with what is committed at that moment.

create table "invalidation" ("xid" xid8 not null default pg_current_xact_id(), "node_id" bigint null, "token_id" bigint null);
create index "invalidation_xid_index" on "invalidation" ("xid");

-- Of documents: the nodes. In a statement, since a change may give thousands a new version.
create function invalidate_documents() returns trigger language plpgsql as $$ begin
  insert into invalidation (node_id) select r.node_id from new_rows r;
  return null;
end $$;
create trigger invalidate after update on document referencing new table as new_rows for each statement execute function invalidate_documents();

-- Of nodes. A name is in the identities of its tokens, too: then all goes, as with every row without an id.
create function invalidate_node() returns trigger language plpgsql as $$ begin
  insert into invalidation (node_id) values (old.id);
  if tg_op = 'UPDATE' and old.fqdn <> new.fqdn then insert into invalidation default values; end if;
  return null;
end $$;
create trigger invalidate_changed after update on node for each row
  when ((old.fqdn, old.state, old.manager) is distinct from (new.fqdn, new.state, new.manager)) execute function invalidate_node();
create trigger invalidate_deleted after delete on node for each row execute function invalidate_node();

create function invalidate_token() returns trigger language plpgsql as $$ begin
  insert into invalidation (token_id) values (old.id);
  return null;
end $$;
create trigger invalidate_changed after update on token for each row
  when ((old.kind, old.name, old.node_id, old.hash, old.old_hash, old.old_until, old.scopes, old.sources, old.expires_at, old.person_id)
    is distinct from (new.kind, new.name, new.node_id, new.hash, new.old_hash, new.old_until, new.scopes, new.sources, new.expires_at, new.person_id))
  execute function invalidate_token();
create trigger invalidate_deleted after delete on token for each row execute function invalidate_token();

-- Of people and what they may do: all that is kept; it is rare.
create function invalidate_all() returns trigger language plpgsql as $$ begin
  insert into invalidation default values;
  return null;
end $$;
create trigger invalidate_changed after update on person for each row
  when ((old.state, old.admin) is distinct from (new.state, new.admin)) execute function invalidate_all();
create trigger invalidate_deleted after delete on person for each statement execute function invalidate_all();
create trigger invalidate after insert or update or delete or truncate on person_group for each statement execute function invalidate_all();
create trigger invalidate after insert or update or delete or truncate on binding for each statement execute function invalidate_all();
create trigger invalidate after insert or update or delete or truncate on role for each statement execute function invalidate_all();
create trigger invalidate_truncated after truncate on document for each statement execute function invalidate_all();
create trigger invalidate_truncated after truncate on node for each statement execute function invalidate_all();
create trigger invalidate_truncated after truncate on token for each statement execute function invalidate_all();
create trigger invalidate_truncated after truncate on person for each statement execute function invalidate_all();
