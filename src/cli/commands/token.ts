import type { Command } from 'commander';

export function tokenCommand(_program: Command): void {}
