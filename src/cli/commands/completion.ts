import { Argument, type Command } from 'commander';
import { completionScript, type Shell } from '../completion.ts';
import { write } from '../emit.ts';
import { loadNouns } from '../nouns.ts';

/** `corral completion bash|zsh|fish`. */
export function completionCommand(program: Command): void {
  program
    .command('completion')
    .summary('print a completion script for your shell')
    .description('Prints a script that completes commands, options, nouns, fields and their values.')
    .addArgument(new Argument('<shell>', 'your shell').choices(['bash', 'zsh', 'fish']))
    .addHelpText(
      'after',
      '\nExamples:\n  source <(corral completion bash)                              # now; in ~/.bashrc to keep it\n  corral completion zsh > "${fpath[1]}/_corral"\n  corral completion fish > ~/.config/fish/completions/corral.fish',
    )
    .action(async (shell: Shell) => write(completionScript(shell, program, await loadNouns())));
}
