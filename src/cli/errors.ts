import type { Problem } from '../kernel/problem.ts';
import { CliError, exitOf, type Exit } from './exit.ts';
import { clean } from './text.ts';

interface SystemError {
  readonly name?: string;
  readonly code?: string;
  readonly syscall?: string;
  readonly port?: number;
  readonly address?: string;
  readonly message?: string;
}

/** Codes of Node and of PostgreSQL (classes 08, 28, 3D, 57P) that say that the database lets nobody in. */
const NO_DATABASE =
  /^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOENT|EACCES|EPIPE|08\w{3}|28\w{3}|3D\w{3}|57P\w{2}|53300)$/;

/** Brings whatever a command ended with to a message, lines below it, and an exit code. */
export function toCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  const known = error as SystemError;
  /* By name: importing the classes would load the database's code for every command. */
  if (error instanceof Error && error.name === 'Problem') return problemError((error as Problem).toDocument());
  if (error instanceof Error && error.constructor.name === 'ConfigError') {
    return new CliError('usage', 'the configuration is wrong', [...error.message.split('\n').map((line) => `  ${line}`), 'corral config shows all settings']);
  }
  if (error instanceof Error && error.constructor.name === 'DataFolderInUse') return new CliError('refused', error.message);
  if (known.syscall === 'listen') return new CliError('refused', listenMessage(known), [], error);
  const driver = driverOf(error);
  if (driver && process.env['DATABASE_URL'])
    return new CliError(
      'unreachable',
      `the database that DATABASE_URL names cannot be used: ${clean(driver)}`,
      [`  DATABASE_URL=${hidden(process.env['DATABASE_URL'])}`],
      error,
    );
  if (driver) return new CliError('unreachable', `the database cannot be used: ${clean(driver)}`, [], error);
  const message = error instanceof Error ? error.message : String(error);
  const stack = process.env['CORRAL_DEBUG'] && error instanceof Error ? [error.stack ?? ''] : [];
  return new CliError('refused', message || 'it failed', stack, error);
}

function listenMessage({ code, address, port, message }: SystemError): string {
  const where = `${address ?? ''}:${port ?? ''}`;
  if (code === 'EADDRINUSE') return `port ${port} on ${address} is in use by another program; set PORT to another one (PORT=0 takes a free one)`;
  if (code === 'EACCES') return `may not listen on ${where}: ports below 1024 are for root; set PORT`;
  if (code === 'EADDRNOTAVAIL') return `this machine has no address ${address}; set HOST`;
  return `cannot listen on ${where}: ${message}`;
}

/** What the driver said, when the error is that of a connection; errors of several addresses hold theirs inside. */
function driverOf(error: unknown): string | undefined {
  let at: unknown = error;
  for (let depth = 0; depth < 5 && typeof at === 'object' && at !== null; depth++) {
    if (at instanceof AggregateError && at.errors.length > 0) at = at.errors[0] as unknown;
    const { code, message, syscall } = at as SystemError;
    if (code !== undefined && NO_DATABASE.test(code) && (syscall === undefined || /connect|getaddrinfo|read|write/.test(syscall))) return message || code;
    if (/timeout exceeded when trying to connect|Connection terminated/.test(message ?? '')) return message;
    at = (at as { cause?: unknown }).cause;
  }
  return undefined;
}

/** A connection string without its password. */
export function hidden(url: string): string {
  return url.replace(/(\/\/[^:/@]*):[^@]*@/, '$1:***@').replace(/([?&]password=)[^&]*/i, '$1***');
}

/** The wire form of a problem, as much of it as an answer has. */
export interface ProblemBody {
  readonly title?: string;
  readonly status?: number;
  readonly code?: string;
  readonly detail?: string;
  readonly errors?: readonly { readonly pointer: string; readonly message: string }[];
  readonly [extra: string]: unknown;
}

/** A problem for people: its code, what to do, and each field that is wrong. */
export function problemError(problem: ProblemBody, { json = false, hints = [] }: { json?: boolean; hints?: readonly string[] } = {}): CliError {
  const exit: Exit = exitOf(problem.status ?? 500);
  if (json) return new CliError(exit, JSON.stringify(problem), hints);
  const faults = problem.errors ?? [];
  const fields = faults.filter((one) => one.pointer !== '');
  /* The detail of such a problem is its fields again, on one line. */
  const told = fields.length > 0 && fields.every((one) => problem.detail?.includes(one.message)) ? problem.title : problem.detail;
  const widest = Math.max(0, ...fields.map((one) => one.pointer.length - 1));
  const lines = fields.map((one) => `  ${clean(one.pointer.slice(1).replaceAll('/', '.')).padEnd(widest)}  ${clean(one.message)}`);
  return new CliError(exit, `${problem.code ?? problem.status}: ${clean(told ?? problem.title ?? 'it failed')}`, [...lines, ...hints]);
}
