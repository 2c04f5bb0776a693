import type { Command } from 'commander';

/** `corral migrate`. */
export function migrateCommand(program: Command): void {
  program
    .command('migrate')
    .summary('bring the database up to this version')
    .description(
      'Brings the database up to this version and says what ran. It takes a lock: any number may start at once, and each migration runs once.\n' +
        'corral serve does the same when it starts.',
    )
    .addHelpText('after', '\nExamples:\n  corral migrate\n  DATABASE_URL=postgres://corral@db/corral corral migrate')
    .action(async () => {
      const { loadConfig } = await import('../../kernel/config.ts');
      const { attachEmbedded, startEmbedded } = await import('../../db/embedded.ts');
      const { migrate, migrationFiles } = await import('../../db/migrate.ts');
      const { config } = loadConfig(process.env);
      const running = config.database_url?.reveal() ?? (await attachEmbedded(config.data));
      const embedded = running === undefined ? await startEmbedded(config.data) : undefined;
      try {
        const ran = await migrate(running ?? embedded!.url);
        for (const name of ran) console.log(`ran ${name}`);
        const all = migrationFiles().length;
        console.log(ran.length === 0 ? `up to date: all ${all} migrations had run` : `up to date: ${ran.length} of ${all} migrations ran now`);
      } finally {
        await embedded?.stop();
      }
    });
}
