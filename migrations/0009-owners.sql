-- Whose volumes and networks are, and how much customers and projects may have.

alter table "volume" add column "customer_id" bigint null;
create index "volume_customer_id_index" on "volume" ("customer_id");
alter table "volume" add constraint "volume_customer_id_foreign" foreign key ("customer_id") references "customer" ("id");
alter table "network" add column "customer_id" bigint null;
create index "network_customer_id_index" on "network" ("customer_id");
alter table "network" add constraint "network_customer_id_foreign" foreign key ("customer_id") references "customer" ("id");

alter table "customer" add column "quota_vms" int null, add column "quota_cores" int null, add column "quota_ram" bigint null, add column "quota_bytes" bigint null, add column "quota_addresses" int null;
alter table "customer" add constraint "customer_quota" check (quota_vms >= 0 and quota_cores >= 0 and quota_ram >= 0 and quota_bytes >= 0 and quota_addresses >= 0);
alter table "project" add column "quota_vms" int null, add column "quota_cores" int null, add column "quota_ram" bigint null, add column "quota_bytes" bigint null, add column "quota_addresses" int null;
alter table "project" add constraint "project_quota" check (quota_vms >= 0 and quota_cores >= 0 and quota_ram >= 0 and quota_bytes >= 0 and quota_addresses >= 0);

-- New columns are kept in changes, too.
do $$
declare
  t text;
begin
  foreach t in array array['volume', 'network', 'customer', 'project'] loop
    execute format('drop trigger capture_insert on %I; drop trigger capture_delete on %I; drop trigger capture_update on %I', t, t, t);
    perform capture_changes(t::regclass);
  end loop;
end $$;

-- What a customer's or project's virtual machines take, asked at the end of a transaction that made it more.
create function quota_used(of_customer bigint, of_project bigint, out vms bigint, out cores bigint, out ram bigint, out bytes bigint, out addresses bigint)
language sql stable as $$
  with mine as (select v.id, v.cores, v.ram from vm v where (of_customer is not null and v.customer_id = of_customer) or (of_project is not null and v.project_id = of_project))
  select count(*), coalesce(sum(m.cores), 0), coalesce(sum(m.ram), 0),
    (select coalesce(sum(o.size), 0) from volume o where o.vm_id in (select id from mine) or (o.vm_id is null and o.customer_id = of_customer)),
    (select count(*) from address a join vm_interface i on i.id = a.vm_interface_id where i.vm_id in (select id from mine))
  from mine m
$$;

-- Once in a transaction for each customer or project that has a quota: its row is the lock.
create function quota_check(tbl text, owner bigint) returns void language plpgsql as $$
declare
  key text := format('corral.quota_%s_%s', tbl, owner);
  q record;
  used record;
begin
  if owner is null or coalesce(current_setting(key, true), '') = 'done' then return; end if;
  execute format('select quota_vms, quota_cores, quota_ram, quota_bytes, quota_addresses from %I where id = $1 and num_nonnulls(quota_vms, quota_cores, quota_ram, quota_bytes, quota_addresses) > 0 for no key update', tbl)
    into q using owner;
  perform set_config(key, 'done', true);
  if q is null then return; end if;
  if tbl = 'customer' then select * into used from quota_used(owner, null); else select * into used from quota_used(null, owner); end if;
  if used.vms > q.quota_vms then raise exception using errcode = '23514', constraint = tbl || '_quota_vms', message = 'quota'; end if;
  if used.cores > q.quota_cores then raise exception using errcode = '23514', constraint = tbl || '_quota_cores', message = 'quota'; end if;
  if used.ram > q.quota_ram then raise exception using errcode = '23514', constraint = tbl || '_quota_ram', message = 'quota'; end if;
  if used.bytes > q.quota_bytes then raise exception using errcode = '23514', constraint = tbl || '_quota_bytes', message = 'quota'; end if;
  if used.addresses > q.quota_addresses then raise exception using errcode = '23514', constraint = tbl || '_quota_addresses', message = 'quota'; end if;
end $$;

create function quota_vm() returns trigger language plpgsql as $$ begin
  perform quota_check('customer', new.customer_id);
  perform quota_check('project', new.project_id);
  return null;
end $$;
create function quota_volume() returns trigger language plpgsql as $$ begin
  if new.vm_id is null then
    perform quota_check('customer', new.customer_id);
  else
    perform quota_check('customer', v.customer_id), quota_check('project', v.project_id) from vm v where v.id = new.vm_id;
  end if;
  return null;
end $$;
create function quota_address() returns trigger language plpgsql as $$ begin
  perform quota_check('customer', v.customer_id), quota_check('project', v.project_id)
    from vm_interface i join vm v on v.id = i.vm_id where i.id = new.vm_interface_id;
  return null;
end $$;
create constraint trigger quota_vm_insert after insert on vm deferrable initially deferred for each row when (new.customer_id is not null) execute function quota_vm();
create constraint trigger quota_vm_update after update on vm deferrable initially deferred for each row
  when (new.customer_id is not null and (new.cores > old.cores or new.ram > old.ram or new.customer_id is distinct from old.customer_id or new.project_id is distinct from old.project_id)) execute function quota_vm();
create constraint trigger quota_volume_insert after insert on volume deferrable initially deferred for each row when (new.vm_id is not null or new.customer_id is not null) execute function quota_volume();
create constraint trigger quota_volume_update after update on volume deferrable initially deferred for each row
  when (new.size > old.size or (new.vm_id, new.customer_id) is distinct from (old.vm_id, old.customer_id)) execute function quota_volume();
create constraint trigger quota_address_insert after insert on address deferrable initially deferred for each row when (new.vm_interface_id is not null) execute function quota_address();
create constraint trigger quota_address_update after update on address deferrable initially deferred for each row
  when (new.vm_interface_id is not null and new.vm_interface_id is distinct from old.vm_interface_id) execute function quota_address();
