import { p } from '@mikro-orm/core';
import { z } from 'zod';
import { f } from '../../kernel/resource.ts';

/** How much a customer or a project may have; triggers of migration 0010 keep it, under a lock of its row. */
export const quotaColumns = {
  quota_vms: p.integer().nullable(),
  quota_cores: p.integer().nullable(),
  quota_ram: p.bigint('number').nullable(),
  quota_bytes: p.bigint('number').nullable(),
  quota_addresses: p.integer().nullable(),
};

const most = (what: string) => z.int().min(0).max(2_147_483_647).nullable().describe(`Most ${what}; null: no limit. What is there already stays.`);

export const quotaFields = {
  quota_vms: most('virtual machines'),
  quota_cores: most('vCPUs of all virtual machines together'),
  quota_ram: f.bytes('Most memory of all virtual machines together; null: no limit.').nullable(),
  quota_bytes: f.bytes('Most space of all volumes together; null: no limit.').nullable(),
  quota_addresses: most('addresses of all interfaces together'),
};

/** `quota_vms >= 0 and ...`, for a CHECK. */
export const quotaCheck = Object.keys(quotaColumns)
  .map((name) => `${name} >= 0`)
  .join(' and ');
