import { defineConfig } from 'vitest/config';

/** Tests of many processes, crashes, races and random sequences: they run with the end-to-end tests. */
const LONG = 'test/**/*.long.test.ts';
/** Each file has a database of its own. */
const own = { globalSetup: ['test/support/database.ts'], testTimeout: 60_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          /* Many tests wait for processes and streams: with three the two cores of a small machine are in use. */
          maxWorkers: 3,
          include: ['test/**/*.test.ts', 'test/**/*.test.tsx'],
          exclude: ['test/e2e/**', LONG],
          ...own,
        },
      },
      { extends: true, test: { name: 'long', include: [LONG], ...own } },
      {
        extends: true,
        test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], testTimeout: 1_800_000, hookTimeout: 1_800_000, fileParallelism: false },
      },
    ],
  },
});
