import { createWriteStream, renameSync, rmSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import { once } from 'node:events';
import { InvalidArgumentError, type Command } from 'commander';
import { note, write } from '../emit.ts';
import { CliError } from '../exit.ts';
import { readText } from '../file.ts';
import { withCorral } from '../local.ts';
import { loadNouns } from '../nouns.ts';
import { duration, Progress } from '../progress.ts';
import { fleetSizes } from '../values.ts';

const WHERE = '\nIt works on the database itself: that of DATABASE_URL, or the one in CORRAL_DATA, also while corral serve runs on it.';

/** `corral import`, `export` and `generate`. */
export function fleetCommands(program: Command): void {
  program
    .command('import <file>')
    .summary('make and change things as a fleet file says')
    .description(`Makes and changes things as a fleet file (YAML or JSON; - is stdin) says, all or nothing. What the file does not name stays.${WHERE}`)
    .option('-m, --message <text>', 'why: what the change will say')
    .addHelpText(
      'after',
      '\nExamples:\n  corral import fleet.yaml -m "the racks of March"\n  corral export | DATABASE_URL=postgres://corral@other/corral corral import -',
    )
    .action(importFile);
  program
    .command('export')
    .summary('write the whole fleet as a fleet file')
    .description(`Writes the whole fleet as YAML that corral import reads.${WHERE}`)
    .option('-o, --output <file>', 'write to this file, once all is there', '-')
    .option('--secrets', 'write the secrets of Ceph keys and layers too, in clear')
    .addHelpText('after', '\nExamples:\n  corral export -o fleet.yaml\n  corral export --secrets | gpg -e -r ops > fleet.yaml.gpg')
    .action(exportFile);
  const count = (text: string): number => {
    if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
    return Number(text);
  };
  program
    .command('generate')
    .summary('fill an empty database with a fleet of any size')
    .description(`Fills an empty database with a made-up fleet; the same numbers and seed give the same fleet.${WHERE}`)
    .requiredOption('--nodes <n>', 'how many nodes', count)
    .requiredOption('--vms <n>', 'how many virtual machines', count)
    .option('--seed <n>', 'which fleet of that size', count, 1)
    .addHelpText('after', '\nExamples:\n  corral generate --nodes 100 --vms 2000\n  corral generate --nodes 10000 --vms 200000 --seed 7')
    .action(generate);
}

async function importFile(file: string, { message }: { message?: string }): Promise<void> {
  const text = await readText(file);
  const { importFleet } = await import('../../fleet/import.ts');
  const { parseFleet } = await import('../../fleet/fleet-file.ts');
  const fleet = fleetSizes(await loadNouns(), parseFleet(text));
  const progress = new Progress('importing');
  const result = await withCorral((corral) => importFleet(corral, fleet, progress.update).finally(() => progress.end()), { message });
  const lines = [...new Set([...Object.keys(result.created), ...Object.keys(result.updated)])].map(
    (noun) => `  ${noun}: ${result.created[noun] ?? 0} made, ${result.updated[noun] ?? 0} changed`,
  );
  console.log([`Imported in ${duration(progress.seconds)}:`, ...(lines.length > 0 ? lines : ['  nothing was to be done'])].join('\n'));
}

async function exportFile({ output, secrets }: { output: string; secrets?: boolean }): Promise<void> {
  const { exportFleet } = await import('../../fleet/export.ts');
  await withCorral(async (corral) => {
    const chunks = exportFleet(corral, { secrets: secrets ?? false });
    if (output === '-') {
      for await (const chunk of chunks) await write(chunk);
      return;
    }
    /* Beside and renamed: a file of this name is always whole. It may hold secrets. */
    const fresh = `${output}.${process.pid}`;
    try {
      const stream = createWriteStream(fresh, { mode: 0o600 });
      await once(stream, 'open');
      for await (const chunk of chunks) if (!stream.write(chunk)) await once(stream, 'drain');
      stream.end();
      await finished(stream);
      renameSync(fresh, output);
    } catch (error) {
      rmSync(fresh, { force: true });
      throw error instanceof Error && 'syscall' in error ? new CliError('refused', `${output} cannot be written: ${error.message}`, [], error) : error;
    }
    note(`Exported to ${output}`);
  });
}

async function generate({ nodes, vms, seed }: { nodes: number; vms: number; seed: number }): Promise<void> {
  const { generateFleet } = await import('../../fleet/generate.ts');
  const progress = new Progress('generating');
  await withCorral((corral) => generateFleet(corral, { nodes, vms, seed }, progress.update).finally(() => progress.end()));
  console.log(`Generated ${nodes} nodes and ${vms} virtual machines in ${duration(progress.seconds)}`);
}
