import { AuthorizationResponseError, ClientError, ResponseBodyError, WWWAuthenticateChallengeError } from 'openid-client';
import { Problem } from '../../kernel/problem.ts';

const AGAIN = 'Start again at /login';

/** A login that failed: what the person reads, and the reason for the log. Neither holds a token. */
export const loginFailed = (detail: string, reason: string): Problem => new Problem('login-failed', detail, { cause: new Error(reason) });

const providerFailed = (reason: string): Problem =>
  new Problem('directory-failed', 'The identity provider cannot be asked now. Try again later, or log in another way', { cause: new Error(reason) });

/** Codes of errors in what the provider signed or answered. */
const TOKEN = /^OAUTH_(JWT_|JSON_ATTRIBUTE|KEY_SELECTION|INVALID_RESPONSE|PARSE_ERROR|UNSUPPORTED_OPERATION|INVALID_REQUEST)/;

/**
 * Brings what the library threw to a problem. Its errors carry whole answers, with tokens, so only their
 * codes and fixed sentences are taken over.
 */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof AuthorizationResponseError) {
    const code = word(error.error);
    return loginFailed(`The identity provider refused the login (${code}). ${AGAIN}`, `the provider answered ${code}`);
  }
  if (error instanceof ResponseBodyError) {
    const code = word(error.error);
    if (error.status >= 500 || ['invalid_client', 'unauthorized_client', 'unsupported_grant_type', 'temporarily_unavailable'].includes(code))
      return providerFailed(
        `the token endpoint answered ${error.status} ${code}${code === 'invalid_client' ? ': client_id, client_secret or client_auth is wrong' : ''}`,
      );
    return loginFailed(
      `The identity provider did not accept the login (${code}): it may have been used or have taken too long. ${AGAIN}`,
      `the token endpoint answered ${error.status} ${code}`,
    );
  }
  if (error instanceof WWWAuthenticateChallengeError)
    return providerFailed(`the provider answered ${error.status}: client_id, client_secret or client_auth is wrong`);
  const code = codeOf(error);
  if (error instanceof ClientError && TOKEN.test(code))
    return loginFailed(`What the identity provider answered is not valid for this login: ${sentence(error)}. ${AGAIN}`, `${code}: ${sentence(error)}`);
  return providerFailed(`${code}: ${networkReason(error)}`);
}

function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? word(code) : 'no code';
}

/** The library's own sentences are fixed texts: 'unexpected JWT "aud" (audience) claim value'. */
function sentence(error: Error): string {
  const inner = error.cause instanceof Error ? error.cause.message : '';
  return (inner || error.message).replace(/[^ -~]/g, '').slice(0, 120);
}

function networkReason(error: unknown): string {
  let at: unknown = error;
  for (let depth = 0; depth < 4 && at instanceof Error; depth++) {
    const { code } = at as { code?: unknown };
    if (typeof code === 'string' && /^[A-Z_]{3,60}$/.test(code) && !code.startsWith('OAUTH_')) return code;
    if (at instanceof AggregateError && at.errors.length > 0) at = at.errors[0];
    else if (at.cause === undefined) break;
    else at = at.cause;
  }
  return error instanceof Error ? error.message.replace(/[^ -~]/g, '').slice(0, 120) : 'it failed';
}

/** An error code as OAuth has them; anything else could be anything. */
const word = (text: string): string => (/^[\w-]{1,60}$/.test(text) ? text : 'unknown_error');
