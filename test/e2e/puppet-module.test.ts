/** The Puppet module's own tests and linters, where Debian's packages of them are installed. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { MODULE, run } from './puppet-client.ts';

const CHECKS = [
  { program: 'rspec', args: ['--no-color'] },
  { program: 'rubocop', args: ['--no-color'] },
  { program: 'puppet-lint', args: ['manifests', 'functions', 'types'] },
  { program: 'puppet', args: ['parser', 'validate', 'manifests', 'functions', 'types'] },
];

describe('the Puppet module', () => {
  for (const { program, args } of CHECKS) {
    const missing = spawnSync(program, ['--version']).error !== undefined;
    if (missing) console.warn(`puppet-module: skipped: ${program} is not installed (test/e2e/install.sh installs it)`);
    it.skipIf(missing)(
      `passes ${program}`,
      async () => {
        // These tools look for their settings in the current folder.
        const ran = await run('env', ['-C', MODULE, program, ...args]);
        expect([ran.status, ran.output]).toEqual([0, expect.any(String)]);
      },
      180_000,
    );
  }
});
