import type { Command } from 'commander';
import { CliError } from '../exit.ts';
import { withCorral } from '../local.ts';

/** `corral console`. */
export function consoleCommand(program: Command): void {
  program
    .command('console')
    .summary('work on the fleet in JavaScript')
    .description(
      'A JavaScript console on the database, with every noun and its verbs in scope: vms.list({cores__gte: 4}). It writes through the verbs of the API.\n' +
        'It completes nouns, verbs and fields with TAB, waits for what a line promises, and keeps its history in CORRAL_HISTORY or ~/.corral_history.',
    )
    .option('--sandbox', 'roll everything back at the end')
    .option('-e, --eval <expression>', 'run this, print its result, and leave')
    .option('-m, --message <text>', 'why: what the changes made here will say')
    .addHelpText(
      'after',
      '\nExamples:\n  corral console\n  corral console --sandbox\n  corral console -e \'vms.count({state: "running"})\'\n  echo \'nodes.list({site: "fra1"})\' | corral console',
    )
    .action(async ({ sandbox, eval: expression, message }: { sandbox?: boolean; eval?: string; message?: string }) => {
      const { runConsole } = await import('../../console/console.ts');
      const { watchSql } = await import('../../console/sql.ts');
      const watch = watchSql();
      const fine = await withCorral((corral) => runConsole(corral, { sandbox: sandbox ?? false, expression, watch }), { tool: 'console', message });
      if (!fine) throw new CliError('refused', '');
    });
}
