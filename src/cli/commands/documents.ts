import type { Command } from 'commander';

export function documentCommands(_program: Command): void {}
