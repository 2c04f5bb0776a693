import type { Command } from 'commander';
import { note } from '../emit.ts';
import { CliError } from '../exit.ts';
import { readText } from '../file.ts';
import { clientOptions, createClient, type ClientOptions } from '../http.ts';

/** `corral classes import`. */
export function classesCommand(program: Command): void {
  const classes = program
    .command('classes')
    .summary('say which classes a Puppet environment knows')
    .description('Looks after the lists of classes that Puppet environments know: layers with other classes are refused there.');
  clientOptions(
    classes
      .command('import')
      .summary('read the classes of an environment from a listing')
      .description(
        "Replaces the list of classes of an environment by those of a listing (- is stdin): puppetserver's answer to /puppet/v3/environment_classes, " +
          'names line by line, lines of grep that declare classes, or paths of manifests.',
      )
      .requiredOption('--environment <name>', 'the Puppet environment')
      .requiredOption('-f, --file <file>', 'the listing; - is stdin'),
  )
    .addHelpText(
      'after',
      `
Examples:
  grep -rh '^class ' /etc/puppetlabs/code/environments/production/modules | corral classes import --environment production -f -
  corral classes import --environment production -f classes.txt
  corral delete class-list production`,
    )
    .action(importClasses);
}

async function importClasses({ environment, file, ...options }: ClientOptions & { environment: string; file: string }): Promise<void> {
  const { readClassListing } = await import('../../modules/layers/class-listing.ts');
  const { classes, strange } = readClassListing(await readText(file));
  if (strange.length > 0)
    throw new CliError(
      'usage',
      `${strange.length === 1 ? 'a line names' : `${strange.length} lines name`} no class`,
      strange.slice(0, 10).map(({ line, text }) => `  line ${line}: ${text}`),
    );
  if (classes.length === 0) throw new CliError('usage', 'the listing names no class; to have none checked, delete the class list');
  const { body } = await createClient(options).ask('PUT', `/api/v1/class-lists/${encodeURIComponent(environment)}`, { body: { classes } });
  note(`${classes.length} classes of ${environment}`);
  const { lacking } = JSON.parse(body.toString()) as { lacking: Readonly<Record<string, readonly string[]>> };
  for (const [name, layers] of Object.entries(lacking))
    note(`warning: ${name} is not among them, and layers give it to nodes of ${environment}: ${layers.join(', ')}`);
}
