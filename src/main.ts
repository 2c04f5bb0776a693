import { ConfigError, loadConfig } from './kernel/config.ts';
import { serve } from './serve.ts';

const { config } = loadConfig(process.env);
const running = await serve(config);
console.log(running.url, running.adminToken);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void running.stop().then(() => process.exit(0)));
void ConfigError;
