-- How many documents changed together: their hosts start one after another.
alter table "document" add column "wave" int not null default 1;
-- The other hosts that still have to remove a virtual machine are found by its name.
create index "tombstone_thing" on "tombstone" ("kind", "name");
