import { Option, type Command } from 'commander';
import { emit, write } from '../emit.ts';
import type { ProblemBody } from '../errors.ts';
import { clientOptions, createClient, type ClientOptions } from '../http.ts';
import { clean } from '../text.ts';

interface ExplainOptions extends ClientOptions {
  readonly output: 'text' | 'json' | 'yaml' | 'msgpack';
}

/** `corral explain`. */
export function explainCommand(program: Command): void {
  clientOptions(
    program
      .command('explain <node> [key]')
      .summary("say where a value of a node's documents comes from")
      .description(
        "Says where a value of a node's documents comes from: the layers that were looked at, in order, what each gave, which won, and the change that set it. The key is one of Hiera or pillar, a class, a class::parameter, a variable, or environment; with dots it leads into a value. Without a key: every value, and what it comes from.",
      )
      .addOption(
        new Option('-o, --output <form>', 'text for people; json, yaml, msgpack for programs').choices(['text', 'json', 'yaml', 'msgpack']).default('text'),
      ),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  corral explain hv1.example.com\n  corral explain hv1.example.com ntp::servers\n  corral explain hv1.example.com firewall.rules.ssh\n  corral explain hv1.example.com corral::hypervisor::domains -o json',
    )
    .action(async (node: string, key: string | undefined, { output, ...options }: ExplainOptions) => {
      const path = `/api/v1/nodes/${encodeURIComponent(node)}/explain${key === undefined ? '' : `/${encodeURIComponent(key)}`}`;
      const accept = output === 'text' ? 'text/plain' : 'application/json';
      const { body } = await createClient(options).ask('GET', path, { accept, json: output === 'json', hints: (problem) => hintsOf(problem, node) });
      if (output === 'text') await write(body);
      else await emit(output, JSON.parse(body.toString()));
    });
}

/** The commands for the names that may have been meant. */
function hintsOf({ near }: ProblemBody, node: string): string[] {
  const quoted = (name: string): string => (/^[\w:.-]+$/.test(name) ? name : `'${clean(name)}'`);
  return Array.isArray(near) ? near.map((name) => `  corral explain ${node} ${quoted(String(name))}`) : [];
}
