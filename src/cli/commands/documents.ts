import { Option, type Command } from 'commander';
import { write } from '../emit.ts';
import { clientOptions, createClient, type ClientOptions } from '../http.ts';

type Form = 'json' | 'yaml' | 'msgpack';

const documents = [
  ['enc', 'the ENC of a node, for Puppet', '/enc'],
  ['hiera', 'the Hiera data of a node, for Puppet', '/hiera'],
  ['pillar', 'the pillar of a node, for Salt', '/pillar'],
  ['tops', 'the top data of a node, for Salt', '/tops'],
  ['document', "all that a node's manager needs, of one version", '/documents'],
] as const;

/** `corral enc`, `hiera`, `pillar`, `tops` and `document`. */
export function documentCommands(program: Command): void {
  for (const [name, summary, path] of documents) {
    const command = clientOptions(
      program
        .command(`${name} <name>`)
        .summary(`show ${summary}`)
        .description(`Shows ${summary}, exactly as the API serves it. The name is the node's, its certname or its minion id.`)
        .addOption(new Option('-o, --output <form>', 'the form').choices(['yaml', 'json', 'msgpack']).default('yaml')),
    );
    if (name === 'hiera') command.option('--key <key>', 'only this key, in JSON');
    command.option('--at <point>', 'as it was after a change (its number), or at a time');
    command.option('--headers', 'show version and ETag on stderr');
    command.addHelpText(
      'after',
      `\nExamples:\n  corral ${name} hv1.example.com\n  corral ${name} hv1.example.com -o json\n  corral ${name} hv1.example.com --at 41${name === 'hiera' ? "\n  corral hiera hv1.example.com --key 'corral::hypervisor::domains'" : ''}`,
    );
    command.action(async (node: string, options: ClientOptions & { output: Form; key?: string; headers?: boolean; at?: string }) => {
      const target = `${path}/${encodeURIComponent(node)}`;
      const at = options.at === undefined ? '' : `?${new URLSearchParams({ at: options.at })}`;
      const { headers, body } =
        options.key === undefined
          ? await createClient(options).ask('GET', `${target}.${options.output}${at}`, {
              accept: `application/${options.output}`,
              json: options.output === 'json',
            })
          : await createClient(options).ask('GET', `${target}/${encodeURIComponent(options.key)}${at}`);
      if (options.headers) for (const one of ['corral-document', 'corral-node', 'etag']) process.stderr.write(`${one}: ${String(headers[one] ?? '-')}\n`);
      await write(body);
      /* Bytes for programs stay as they are. */
      if (options.output !== 'msgpack' && body.at(-1) !== 10) await write('\n');
    });
  }
}
