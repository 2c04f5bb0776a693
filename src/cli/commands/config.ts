import { Option, type Command } from 'commander';
import { colourful, table, terminalWidth } from '../text.ts';

/** `corral config`. */
export function configCommand(program: Command): void {
  program
    .command('config')
    .summary('show every setting of the server, its source and its meaning')
    .description(
      'Shows every setting, its value, where that comes from, and what it means; secrets are hidden.\n' +
        'Settings come from the environment, then from the YAML file that CORRAL_CONFIG names, then from the defaults.',
    )
    .addOption(new Option('-o, --output <form>', 'print for programs').choices(['json', 'yaml']))
    .addHelpText('after', '\nExamples:\n  corral config\n  PORT=9000 corral config -o json')
    .action(async ({ output }: { output?: 'json' | 'yaml' }) => {
      const { explainConfig, loadConfig } = await import('../../kernel/config.ts');
      const loaded = loadConfig(process.env);
      const settings = explainConfig(loaded);
      if (output === 'json') {
        console.log(JSON.stringify(settings, null, 2));
      } else if (output === 'yaml') {
        const { dump } = await import('js-yaml');
        process.stdout.write(dump(settings, { noRefs: true, lineWidth: -1 }));
      } else {
        /* A mapping would make the table too wide to read. */
        const shown = (value: unknown): string =>
          value === null ? '-' : Array.isArray(value) ? value.join(', ') || '-' : typeof value === 'object' ? '(see -o yaml)' : String(value);
        const rows = settings.map((one) => [one.variable, one.setting, shown(one.value), one.source, one.meaning]);
        const columns = ['variable', 'in the file', 'value', 'source', 'meaning'].map((title) => ({ title }));
        console.log(table(columns, rows, { width: terminalWidth(), colour: colourful(process.stdout) }));
        if (loaded.file !== undefined) console.log(`\nFile: ${loaded.file}`);
      }
    });
}
