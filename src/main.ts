import { run } from './cli/run.ts';

/* Whoever reads our output may stop reading, as head does: no reason to fail. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
/* Until it says otherwise it has failed: a connection that breaks may leave nothing to wait for. */
process.exitCode = 1;
void run(process.argv.slice(2)).then((code) => (process.exitCode = code));
