import { existsSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { Config, LoadedConfig } from '../../kernel/config.ts';
import type { Running } from '../../serve.ts';
import { bold, colourful } from '../text.ts';

/** A second signal within this many milliseconds is the first one again: npm passes on what the terminal sent. */
const SAME_SIGNAL = 500;

/** `corral serve`. */
export function serveCommand(program: Command): void {
  program
    .command('serve')
    .summary('serve the API, the pages and the documents')
    .description(
      'Serves the API, the pages and the documents until SIGTERM or SIGINT, then finishes what is in flight and stops; a second signal stops at once.\n' +
        'Without DATABASE_URL it starts a PostgreSQL of its own in CORRAL_DATA. Logs go to stderr as lines of JSON: warnings only when that is a terminal, unless CORRAL_LOG_LEVEL says more.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  corral serve\n  PORT=9000 CORRAL_DEMO=0 corral serve\n  DATABASE_URL=postgres://corral@db/corral HOST=0.0.0.0 corral serve',
    )
    .action(async () => {
      const { loadConfig } = await import('../../kernel/config.ts');
      const loaded = loadConfig(process.env);
      const quiet = loaded.sources.log_level === 'default' && process.stderr.isTTY;
      const config: Config = quiet ? { ...loaded.config, log_level: 'warn' } : loaded.config;
      const stopping = new AbortController();
      let first = 0;
      const stop = new Promise<void>((resolve) => {
        for (const signal of ['SIGTERM', 'SIGINT'] as const) {
          process.on(signal, () => {
            if (!stopping.signal.aborted) {
              first = Date.now();
              stopping.abort();
              resolve();
            } else if (Date.now() - first > SAME_SIGNAL) {
              process.stderr.write('corral: stopped at once\n');
              process.exit(130);
            }
          });
        }
      });
      if (process.stdout.isTTY) process.stderr.write('Starting …\n');
      const { serve } = await import('../../serve.ts');
      const running = await serve(config);
      if (!stopping.signal.aborted) console.log(await banner(running, loaded, Boolean(quiet)));
      await stop;
      const active = running.active();
      process.stderr.write(
        active > 0 ? `corral: finishing ${active} ${active === 1 ? 'request' : 'requests'}, then stopping; once more stops at once\n` : 'corral: stopping\n',
      );
      await running.stop();
    });
}

/** What the person who started it needs to know, once. */
async function banner({ url, adminToken, firstLink, corral }: Running, { config, file }: LoadedConfig, quiet: boolean): Promise<string> {
  const colour = colourful(process.stdout);
  const call = callName();
  const { rows } = await corral.pool.query<{ fqdn: string }>(`select fqdn from node where state <> 'deactivated' order by id limit 1`);
  const lines = ['', `${bold('Corral', colour)} serves at ${bold(url, colour)}`, ''];
  let set = `export CORRAL_TOKEN=...    # the admin token of the first start, or a new one: ${call} token create NAME --kind admin --local`;
  if (adminToken !== undefined && config.admin_token === undefined) {
    lines.push('The admin token, shown this once (Corral keeps only its hash):', '', `  ${bold(adminToken, colour)}`, '');
    set = `export CORRAL_TOKEN=${adminToken}`;
  } else if (adminToken !== undefined) {
    lines.push('The admin token is the one that CORRAL_ADMIN_TOKEN gave.', '');
    set = 'export CORRAL_TOKEN="$CORRAL_ADMIN_TOKEN"';
  }
  const node = rows[0]?.fqdn;
  if (node === undefined) {
    lines.push(
      'The fleet is empty. To fill it:',
      '',
      `  ${set}`,
      ...address(url),
      `  ${call} create site name=fra1`,
      `  ${call} create node fqdn=hv1.example.com site=fra1 roles.hypervisor.cores=16 roles.hypervisor.ram=64GiB roles.hypervisor.methods=KVM`,
    );
  } else {
    lines.push(`The documents of ${node}, for Puppet (ENC, Hiera) and Salt (pillar):`, '', `  ${set}`);
    for (const kind of ['enc', 'hiera', 'pillar']) lines.push(`  curl -H "Authorization: Bearer $CORRAL_TOKEN" ${url}/${kind}/${node}`);
    lines.push('', 'More:', '', ...address(url), `  ${call} get nodes`, `  ${call} --help`);
  }
  if (firstLink === undefined) lines.push('', `In a browser: ${url}/. Ctrl-C stops it.`);
  else
    lines.push(
      '',
      'In a browser, once, within an hour: make the first person, with a name and a password:',
      '',
      `  ${bold(firstLink, colour)}`,
      '',
      'Ctrl-C stops it.',
    );
  if (file !== undefined) lines.push(`Settings: ${file}`);
  if (quiet) lines.push('The log shows warnings only; CORRAL_LOG_LEVEL=info shows each request.');
  return `${lines.join('\n')}\n`;
}

/** How to call this program from here: by name where it is on the PATH, else by its path. */
function callName(): string {
  if ((process.env['PATH'] ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, 'corral')))) return 'corral';
  const path = fileURLToPath(new URL('../../../bin/corral', import.meta.url));
  const near = relative(process.cwd(), path);
  return near.startsWith('..') ? path : near;
}

function address(url: string): string[] {
  return url === 'http://127.0.0.1:8080' ? [] : [`  export CORRAL_URL=${url}`];
}
