import { expect } from 'vitest';
import type { TestCorral } from '../support/corral.ts';
import type { WireProblem } from './samples.ts';

/** Sends it and expects a clean refusal: 4xx, a problem with a code and a sentence, nothing of the driver or a stack. */
export async function refused(corral: Pick<TestCorral, 'request'>, path: string, init: RequestInit = {}): Promise<WireProblem & { headers: Headers }> {
  const answer = await corral.request(path, init);
  const problem = (await answer.json()) as WireProblem;
  const about = `${init.method ?? 'GET'} ${path.slice(0, 200)} ${String(init.body).slice(0, 100)}: ${JSON.stringify(problem).slice(0, 400)}`;
  expect(answer.status, about).toBeGreaterThanOrEqual(400);
  expect(answer.status, about).toBeLessThan(500);
  expect(answer.headers.get('content-type'), about).toBe('application/problem+json');
  expect(problem, about).toMatchObject({
    status: answer.status,
    code: expect.stringMatching(/^[a-z-]+$/) as string,
    detail: expect.stringMatching(/\S/) as string,
    title: expect.any(String) as string,
    type: expect.stringContaining('/docs#') as string,
  });
  expect(JSON.stringify(problem), about).not.toMatch(/at .*\.ts:|node_modules|syntax error|relation "|select |violates/);
  return { ...problem, headers: answer.headers };
}
