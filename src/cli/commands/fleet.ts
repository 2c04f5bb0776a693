import type { Command } from 'commander';

export function fleetCommands(_program: Command): void {}
