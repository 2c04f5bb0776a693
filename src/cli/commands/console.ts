import type { Command } from 'commander';

export function consoleCommand(_program: Command): void {}
