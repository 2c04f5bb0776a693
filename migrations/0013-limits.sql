-- How much was asked of late, by whom or from where: see src/limits/shared.ts. Lost when PostgreSQL fails, and no loss.

create unlogged table "rate_limit" ("key" text not null, "full_at" double precision not null, "granted" double precision not null, primary key ("key")) with (fillfactor = 50);
