import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { CliError } from './exit.ts';

/** The text of a file, or of stdin for `-`. */
export async function readText(file: string): Promise<string> {
  if (file === '-') return text(process.stdin);
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CliError('usage', `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`, [], error);
  }
}

/** The mapping that a YAML or JSON file holds. @throws CliError usage */
export async function readBodyFile(file: string): Promise<Record<string, unknown>> {
  const { load, CORE_SCHEMA } = await import('js-yaml');
  const source = await readText(file);
  let value: unknown;
  try {
    value = file.endsWith('.json') ? JSON.parse(source) : load(source, { schema: CORE_SCHEMA });
  } catch (error) {
    throw new CliError(
      'usage',
      `${file === '-' ? 'stdin' : file} is neither YAML nor JSON: ${error instanceof Error ? error.message : String(error)}`,
      [],
      error,
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CliError('usage', `${file === '-' ? 'stdin' : file} must hold one mapping of fields; corral import reads whole fleets`);
  return value as Record<string, unknown>;
}
