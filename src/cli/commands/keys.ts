import type { Command } from 'commander';
import { note } from '../emit.ts';
import { CliError } from '../exit.ts';
import { withCorral } from '../local.ts';
import { Progress } from '../progress.ts';

const WHERE = '\nIt works on the database itself: that of DATABASE_URL, or the one in CORRAL_DATA, also while corral serve runs on it.';

/** `corral keys rotate|status`. */
export function keysCommand(program: Command): void {
  const keys = program.command('keys').summary('rotate the encryption key').description('Looks after the key that secrets in the database are encrypted with.');
  keys
    .command('rotate')
    .summary('encrypt all secrets with the current key')
    .description(
      `Encrypts every secret that is under an older key with the current one: of Ceph keys, layers, webhooks, documents and changes. It may be stopped and started again.${WHERE}`,
    )
    .option('--generate', 'first make a new key in the data folder, and keep the present one in encryption.key.old')
    .addHelpText(
      'after',
      `
With a key in a file, running processes on the same data folder take the new one by themselves.
With CORRAL_ENCRYPTION_KEY, and with several machines, give all processes the new key in CORRAL_ENCRYPTION_KEY_OLD first; then
make it CORRAL_ENCRYPTION_KEY everywhere, with the present one in CORRAL_ENCRYPTION_KEY_OLD; then rotate.

Examples:
  corral keys rotate --generate
  corral keys status`,
    )
    .action(rotate);
  keys
    .command('status')
    .summary('count what is under an older key')
    .description(`Says which key is the current one, and how many rows hold secrets under an older one.${WHERE}`)
    .addHelpText('after', '\nExamples:\n  corral keys status')
    .action(status);
}

const lines = (counts: Readonly<Record<string, number>>): string[] => Object.entries(counts).map(([table, n]) => `  ${table}: ${n}`);

async function rotate({ generate }: { generate?: boolean }): Promise<void> {
  const { loadConfig } = await import('../../kernel/config.ts');
  const { generateKey } = await import('../../kernel/secret.ts');
  const { KeyRotation, sum } = await import('../../modules/keys/rotate.ts');
  const { config } = loadConfig(process.env);
  if (generate) {
    if (config.encryption_key !== undefined)
      throw new CliError('usage', 'the key comes from CORRAL_ENCRYPTION_KEY, so --generate cannot change it', [
        'Make one with: openssl rand -base64 32',
        'Set CORRAL_ENCRYPTION_KEY to it and CORRAL_ENCRYPTION_KEY_OLD to the present one, and run corral keys rotate.',
      ]);
    generateKey(config.data);
    note(`Made a new ${config.data}/encryption.key; the one before is in encryption.key.old`);
  }
  const progress = new Progress('rotating');
  await withCorral(async ({ pool, store }) => {
    const { rotated, left, reasons } = await new KeyRotation(pool, store.secrets).run(progress.update).finally(() => progress.end());
    console.log([`Under key ${store.secrets.keyId} now: ${sum(rotated)} rows`, ...lines(rotated)].join('\n'));
    if (sum(left) > 0) throw new CliError('refused', `${sum(left)} rows are still under an older key`, [...lines(left), ...reasons.map((one) => `  ${one}`)]);
    console.log('Nothing is left under an older key: encryption.key.old, or CORRAL_ENCRYPTION_KEY_OLD, is needed for older backups only.');
  });
}

async function status(): Promise<void> {
  const { KeyRotation, sum } = await import('../../modules/keys/rotate.ts');
  await withCorral(async ({ pool, store }) => {
    const left = await new KeyRotation(pool, store.secrets).count();
    console.log([`The current key is ${store.secrets.keyId}; under older ones: ${sum(left)} rows`, ...lines(left)].join('\n'));
  });
}
