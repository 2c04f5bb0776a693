import { run } from './cli/run.ts';

/* Whoever reads our output may stop reading, as head does: no reason to fail. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
process.exitCode = await run(process.argv.slice(2));
