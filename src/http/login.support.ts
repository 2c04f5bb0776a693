import type { Context } from 'hono';
import { deleteCookie, setCookie } from 'hono/cookie';
import { HOST, PENDING, PLAIN, sessionCookie, type Opened } from '../auth/people/sessions.ts';
import { decodeBody, isRecord, readBody } from '../kernel/codec.ts';
import { media } from '../kernel/negotiate.ts';
import { Problem, type ProblemDocument } from '../kernel/problem.ts';
import { problemHeaders, type Env } from './answer.ts';

/** Largest form of these pages, in bytes. */
const LARGEST = 10_000;

/** What a form sent: its text fields. */
export type Form = Readonly<Record<string, string>>;

/** Reads a form; one field given twice, or nested, counts as missing. @throws Problem */
export async function readForm(context: Context<Env>): Promise<Form> {
  const body = decodeBody(await readBody(context.req.raw, LARGEST), context.req.header('content-type') ?? null);
  if (!isRecord(body)) return {};
  return Object.fromEntries(Object.entries(body).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

/** Where to go on: only to a path here. */
export const localPath = (next: unknown): string => (typeof next === 'string' && /^\/(?![/\\])[\x21-\x7e]*$/.test(next) ? next : '/');

/** A page that nobody keeps. */
export function page(context: Context<Env>, html: string, problem?: Problem): Response {
  const headers = { ...(problem ? problemHeaders(problem) : {}), 'Cache-Control': 'no-store', 'Content-Type': media.html };
  return context.body(html, (problem?.status ?? 200) as 200, headers);
}

/** Shows what was refused on a page of its own; anything but a problem goes on. */
export async function orShow(
  context: Context<Env>,
  work: () => Promise<Response>,
  show: (problem: ProblemDocument) => string | Promise<string>,
): Promise<Response> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Problem) || [413, 415, 500].includes(error.status)) throw error;
    return page(context, await show(error.toDocument()), error);
  }
}

/** The session cookie of the request. */
export const cookieOf = (context: Context<Env>): string | undefined => sessionCookie(context.req.header('cookie'));

export function giveCookie(context: Context<Env>, { cookie }: Opened, seconds: number): void {
  const secure = cookie.name === HOST;
  setCookie(context, cookie.name, cookie.value, { httpOnly: true, sameSite: 'Lax', path: '/', maxAge: seconds, secure });
}

export { PENDING };

/** Takes the cookies away that came. */
export function takeCookies(context: Context<Env>, names: readonly string[]): void {
  const given = context.req.header('cookie') ?? '';
  for (const name of [HOST, PLAIN, ...names])
    if (given.includes(`${name}=`)) deleteCookie(context, name, { path: '/', ...(name === HOST ? { secure: true } : {}) });
}
