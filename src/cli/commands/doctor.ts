import { Option, type Command } from 'commander';
import { emit, outputOption, write, type Form } from '../emit.ts';
import { CliError } from '../exit.ts';
import { bold, clean, colourful, dim, green, red } from '../text.ts';

interface Options {
  readonly output: Form;
  readonly only?: readonly string[];
  readonly strict?: boolean;
  readonly quiet?: boolean;
}

/** `corral doctor`. */
export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .summary('check a deployment, and say what to mend')
    .description(
      'Checks a deployment and says what to mend: settings, TLS, keys, files, the disk, the clock, PostgreSQL, replication, backups, tokens, people, webhooks, the audit log.\n' +
        'It changes nothing. Run it as the user of corral serve and with its settings. It ends with 1 when something fails.',
    )
    .addOption(outputOption())
    .addOption(new Option('--only <check...>', 'these checks only'))
    .option('--strict', 'end with 1 for warnings, too')
    .option('-q, --quiet', 'show only what is to be mended')
    .addHelpText(
      'after',
      `
Settings:
  CORRAL_BACKUP_STAMP  a file that is touched after each good backup; without it, PostgreSQL's archiver is asked

Examples:
  corral doctor
  corral doctor --quiet --strict || echo "something is to be mended"
  corral doctor --only tls backup -o json | jq -r '.findings[] | select(.verdict != "ok") | .mend'`,
    )
    .action(doctor);
}

const sign = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL' } as const;

async function doctor({ output, only, strict, quiet }: Options): Promise<void> {
  const { loadConfig } = await import('../../kernel/config.ts');
  const { checks, examine } = await import('../../doctor/doctor.ts');
  const names = checks.map(({ name }) => name);
  const strange = only?.find((name) => !names.includes(name));
  if (strange !== undefined) throw new CliError('usage', `there is no check '${strange}'`, [`There are ${names.join(', ')}`]);
  const report = await examine(loadConfig(process.env), only ? { only } : {});
  const shown = quiet ? report.findings.filter(({ verdict }) => verdict !== 'ok') : report.findings;
  if (output !== 'table') await emit(output, { ...report, findings: shown });
  else {
    const colour = colourful(process.stdout);
    const width = Math.max(...names.map((name) => name.length));
    for (const { verdict, check, says, mend } of shown) {
      const painted = verdict === 'ok' ? green(sign.ok, colour) : verdict === 'fail' ? red(sign.fail, colour) : bold(sign.warn, colour);
      await write(`${painted}  ${check.padEnd(width)}  ${clean(says)}\n`);
      if (mend !== undefined && verdict !== 'ok') await write(`${' '.repeat(width + 8)}${dim(`→ ${clean(mend)}`, colour)}\n`);
    }
    const count = (verdict: string): number => report.findings.filter((one) => one.verdict === verdict).length;
    if (!quiet || shown.length > 0) await write(`${count('ok')} ok, ${count('warn')} to look at, ${count('fail')} to mend\n`);
  }
  /* It was said. */
  if (report.verdict === 'fail' || (strict && report.verdict === 'warn')) throw new CliError('refused', '');
}
