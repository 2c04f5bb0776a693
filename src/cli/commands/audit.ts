import { InvalidArgumentError, type Command } from 'commander';
import { emit, outputOption, write, type Form } from '../emit.ts';
import { CliError } from '../exit.ts';
import { withCorral } from '../local.ts';
import { Progress } from '../progress.ts';

/** `corral audit verify`. */
export function auditCommand(program: Command): void {
  const audit = program.command('audit').summary('check the audit log').description('Checks the audit log. corral get audit-entries shows it.');
  audit
    .command('verify')
    .summary('check that nothing in the audit log was altered')
    .description(
      'Computes the chain of hashes of the audit log anew, and says which entry does not fit. It works on the database itself.\n' +
        'The head that it prints, kept elsewhere, shows later whether the end of the log was cut off.',
    )
    .option('--head <number:hash>', 'an earlier head, which must still be there', (text: string) => {
      const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text);
      if (!match) throw new InvalidArgumentError('It must be the head that an earlier check printed: a number, a colon and 64 hexadecimal digits.');
      return { number: Number(match[1]), hash: match[2]! };
    })
    .addOption(outputOption())
    .addHelpText('after', '\nExamples:\n  corral audit verify\n  corral audit verify --head 1024:9f2c... && echo nothing was taken away')
    .action(verify);
}

async function verify({ head: earlier, output }: { head?: { number: number; hash: string }; output: Form }): Promise<void> {
  const { verifyAudit } = await import('../../auth/audit.ts');
  const progress = new Progress('checking');
  const { check, kept } = await withCorral(async ({ pool }) => {
    const total = Number((await pool.query<{ n: string }>('select count(*) as n from audit_entry')).rows[0]!.n);
    const check = await verifyAudit(pool, (done) => progress.update(done, total)).finally(() => progress.end());
    const { rows } = await pool.query('select from audit_entry where number = $1 and hash = decode($2, $3)', [
      earlier?.number ?? 0,
      earlier?.hash ?? '',
      'hex',
    ]);
    return { check, kept: earlier === undefined || rows.length > 0 };
  });
  const { entries, head, broken, missing } = check;
  if (output !== 'table') await emit(output, check);
  if (missing !== undefined) throw new CliError('refused', `entry ${missing} is missing: somebody took it out of the audit log`);
  if (broken !== undefined) throw new CliError('refused', `entry ${broken} does not fit the one before it: one of the two was altered`);
  if (!kept) throw new CliError('refused', `entry ${earlier!.number} is not the one of that head any more: the log was cut off, and perhaps written anew`);
  if (output === 'table') await write(`${entries} entries, and each fits the one before it.${head ? ` Head: ${head.number}:${head.hash}` : ''}\n`);
}
