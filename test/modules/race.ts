/** 200 creations at once against a fleet with room for 150. */
import { expect } from 'vitest';
import type { TestCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, type Answer } from './fleet.ts';

export const REQUESTS = 200;
export const ROOM = 150;

/** All requests are sent before the first answer is awaited. */
export async function createAtOnce(corral: Pick<TestCorral, 'request'>, input: (i: number) => Record<string, unknown>): Promise<Answer[]> {
  return Promise.all(Array.from({ length: REQUESTS }, (_, i) => call(corral, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB, ...input(i) })));
}

function tally(answers: readonly Answer[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { status, body } of answers) {
    const key = status === 201 ? '201' : `${status} ${String(body.code)}`;
    sums[key] = (sums[key] ?? 0) + 1;
  }
  return sums;
}

/** Exactly as many as there is room for, each whole, and a clear refusal for all others. */
export async function expectRoomFor(corral: TestCorral, answers: readonly Answer[], code: string, before = 0): Promise<void> {
  expect(tally(answers)).toEqual({ '201': ROOM, [`409 ${code}`]: REQUESTS - ROOM });
  const { rows } = await corral.pool.query<Record<string, string>>(`select (select count(*) from vm) as vms, (select count(distinct uuid) from vm) as uuids,
    (select count(*) from volume) as volumes, (select count(*) from vm_interface) as cards, (select count(distinct mac) from vm_interface) as macs,
    (select count(*) from address where vm_interface_id is not null) as addresses, (select count(distinct vm_interface_id) from address) as owners`);
  const whole = String(ROOM + before);
  expect(rows[0]).toEqual({ vms: whole, uuids: whole, volumes: whole, cards: whole, macs: whole, addresses: whole, owners: whole });
  await expectConsistent(corral);
}

/** Every refusal says how many hosts were refused for what. */
export function expectReason(answers: readonly Answer[], reason: string): void {
  for (const { body } of answers.filter(({ status }) => status === 409)) {
    expect([body.detail, body['refused']]).toEqual([
      expect.stringMatching(/hypervisors can take it/),
      expect.objectContaining({ [reason]: expect.any(Number) as number }),
    ]);
  }
}
