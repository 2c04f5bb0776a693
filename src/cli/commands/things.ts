import type { Command } from 'commander';

export function thingCommands(_program: Command): void {}
