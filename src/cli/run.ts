import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { changeCommands } from './commands/changes.ts';
import { classesCommand } from './commands/classes.ts';
import { applyCommand } from './commands/apply.ts';
import { auditCommand } from './commands/audit.ts';
import { completionCommand } from './commands/completion.ts';
import { configCommand } from './commands/config.ts';
import { consoleCommand } from './commands/console.ts';
import { doctorCommand } from './commands/doctor.ts';
import { documentCommands } from './commands/documents.ts';
import { enrolCommand } from './commands/enrol.ts';
import { explainCommand } from './commands/explain.ts';
import { fleetCommands } from './commands/fleet.ts';
import { keysCommand } from './commands/keys.ts';
import { ldapCommand } from './commands/ldap.ts';
import { migrateCommand } from './commands/migrate.ts';
import { personCommand } from './commands/person.ts';
import { serveCommand } from './commands/serve.ts';
import { thingCommands } from './commands/things.ts';
import { tokenCommand } from './commands/token.ts';
import { waitCommand } from './commands/wait.ts';
import { watchCommand } from './commands/watch.ts';
import { toCliError } from './errors.ts';
import { exits } from './exit.ts';
import { bold, colourful, red } from './text.ts';

const NOTES = `
Environment:
  CORRAL_URL         the API (default http://127.0.0.1:8080)
  CORRAL_TOKEN       the token to show to it; or CORRAL_TOKEN_FILE, a file that holds it
  DATABASE_URL       an existing PostgreSQL, for the commands that work on the database
  CORRAL_DATA        else the folder of the embedded one (default ./data)
  NO_COLOR           no colours
  corral config      shows all settings of the server

Exit codes:
${Object.values(exits)
  .map(([code, meaning]) => `  ${code}  ${meaning}`)
  .join('\n')}

Examples:
  corral serve
  corral get nodes
  corral create vm name=web cores=4 ram=2GiB method=KVM
  corral enc hv1.example.com`;

/** The whole command line, as it is parsed, shown by --help and completed by the shell. */
export function program(): Command {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  const corral = new Command('corral')
    .description('The source of truth for a fleet, which Puppet and Salt converge.')
    .version(version, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help of a command')
    .showSuggestionAfterError(true)
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`corral: ${text.replace(/^error: /, '')}`) })
    .configureHelp({ styleTitle: (text) => bold(text, colourful(process.stdout)), sortSubcommands: false })
    .addHelpText('after', NOTES);
  for (const add of [
    serveCommand,
    migrateCommand,
    configCommand,
    thingCommands,
    waitCommand,
    watchCommand,
    documentCommands,
    changeCommands,
    explainCommand,
    tokenCommand,
    enrolCommand,
    personCommand,
    auditCommand,
    doctorCommand,
    ldapCommand,
    fleetCommands,
    applyCommand,
    keysCommand,
    classesCommand,
    consoleCommand,
    completionCommand,
  ])
    add(corral);
  return corral;
}

/**
 * Runs one command.
 * @returns the exit code
 */
export async function run(args: readonly string[]): Promise<number> {
  const corral = program();
  try {
    await corral.parseAsync([...args], { from: 'user' });
    return exits.ok[0];
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return exits.ok[0];
      if (!['commander.help', 'commander.unknownCommand'].includes(error.code))
        process.stderr.write(`See ${['corral', ...commandOf(corral, args), '--help'].join(' ')}\n`);
      return exits.usage[0];
    }
    const seen = toCliError(error);
    const name = red('corral:', colourful(process.stderr));
    /* Without a message: what there is to say was said. */
    if (seen.message !== '') process.stderr.write([`${name} ${seen.message}`, ...seen.lines].join('\n') + '\n');
    return seen.code;
  }
}

/** The subcommands that the arguments name. */
function commandOf(corral: Command, args: readonly string[]): string[] {
  const out: string[] = [];
  let at: Command | undefined = corral;
  for (const arg of args) {
    at = at?.commands.find((one) => one.name() === arg || one.aliases().includes(arg));
    if (!at) break;
    out.push(arg);
  }
  return out;
}
