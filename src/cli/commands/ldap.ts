import { Option, type Command } from 'commander';
import type { ServerTest } from '../../auth/ldap/login.ts';
import { CliError } from '../exit.ts';
import { readPassword } from '../password.ts';
import { bold, clean, colourful, green, red } from '../text.ts';

/** `corral ldap`. */
export function ldapCommand(program: Command): void {
  const ldap = program
    .command('ldap')
    .summary('test the LDAP directory that people log in with')
    .description('The LDAP directory or Active Directory of the setting ldap.');
  ldap
    .command('test')
    .argument('[name]', 'a person: finds their entry and groups')
    .summary('go through the steps of a login on every server')
    .description(
      'Goes through the steps of a login on every server and says which one failed and what to do.\n' +
        'Without a name it ends with the search base; with one it finds the person and their groups; with a password it also checks that.',
    )
    .option('-p, --password', 'ask for the password of the person; it is read from standard input')
    .addOption(new Option('-o, --output <form>', 'print for programs').choices(['json']))
    .addHelpText('after', '\nExamples:\n  corral ldap test\n  corral ldap test ada\n  corral ldap test ada --password')
    .action(async (name: string | undefined, options: { password?: true; output?: 'json' }) => {
      if (options.password && name === undefined) throw new CliError('usage', '--password needs a name');
      const { loadConfig } = await import('../../kernel/config.ts');
      const { ldapSettings } = await import('../../kernel/config.ldap.ts');
      const { ldapTest } = await import('../../auth/ldap/login.ts');
      const settings = ldapSettings(loadConfig(process.env).config);
      if (!settings)
        throw new CliError('usage', 'no LDAP directory is set', ['  Set ldap in the file of CORRAL_CONFIG, or CORRAL_LDAP; see docs/identities.md']);
      const password = options.password ? await readPassword(`Password of ${name}: `) : undefined;
      const tests = await ldapTest(settings, name, password);
      if (options.output === 'json') console.log(JSON.stringify(tests, null, 2));
      else for (const test of tests) show(test);
      const failed = tests.filter((test) => !test.ok).length;
      if (failed > 0) throw new CliError('refused', options.output === 'json' ? '' : `${failed} of ${tests.length} servers failed`);
    });
}

function show({ server, steps, person }: ServerTest): void {
  const colour = colourful(process.stdout);
  console.log(bold(server, colour));
  for (const { step, ok, detail, advice } of steps) {
    console.log(`  ${ok ? green('ok', colour) : red('failed', colour)}${ok ? '    ' : ''}  ${step.padEnd(9)}  ${clean(detail)}`);
    if (advice !== undefined) console.log(`          ${' '.repeat(11)}${clean(advice)}`);
  }
  if (!person) return;
  const facts = { name: person.name, 'full name': person.full_name, email: person.email, subject: person.subject };
  for (const [title, value] of Object.entries(facts)) if (value !== undefined) console.log(`  ${title.padEnd(9)}  ${clean(value)}`);
  for (const group of person.groups) console.log(`  group      ${clean(group)}`);
}
