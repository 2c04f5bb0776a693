import type { Config } from '../../kernel/config.ts';
import type { LoginSettings } from './types.ts';

/** How people log in, as the process is configured. */
export function loginSettings(config: Config): LoginSettings {
  return { idle: config.session_idle, length: config.session_length, secondFactor: config.second_factor };
}
