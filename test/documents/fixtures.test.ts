/**
 * Everything that is rendered, against text that was read by people. After a wanted change:
 *   UPDATE_FIXTURES=1 npx vitest run test/documents/fixtures.test.ts && git diff fixtures/documents
 */
import { describe, expect, it } from 'vitest';
import { cases, expected, rendered, update } from './cases.ts';

describe.each(cases())('%s', (name) => {
  it('gives the expected text', () => {
    if (process.env['UPDATE_FIXTURES'] === '1') update(name);
    expect(rendered(name)).toEqual(expected(name));
  });
});
