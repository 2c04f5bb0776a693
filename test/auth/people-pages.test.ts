import { expect, test } from 'vitest';
import { makeLink } from '../../src/modules/people/person.verbs.ts';
import { all, parse, text } from '../pages/html.ts';
import { testCorral } from '../support/corral.ts';
import { Browser, codeOf, makePerson, PASSWORD, secretIn, setUp } from './people-support.ts';

const hostile = `<script>alert("1")</script>'"><img src=x onerror=alert(1)>`;
const corral = await testCorral();

/** What is wrong with a page, of what must hold for each. */
async function faults(answer: Response): Promise<string[]> {
  const html = await answer.text();
  const page = parse(html);
  const found: string[] = [];
  const must = (holds: boolean, what: string): void => {
    if (!holds) found.push(what);
  };
  must(answer.headers.get('content-security-policy')?.startsWith("default-src 'none'; style-src 'self'") === true, 'no policy');
  must(answer.headers.get('cache-control') === 'no-store', 'may be kept');
  must(!/<script|<style|<img src=x|javascript:/i.test(html), 'holds script or style');
  must(all(page, 'h1').length === 1 && all(page, 'main').length === 1, 'not one h1 and one main');
  const everything = all(page, () => true);
  const ids = everything.flatMap((one) => one.attributes['id'] ?? []);
  must(new Set(ids).size === ids.length, `an id is there twice: ${ids.join(' ')}`);
  const labels = new Set(all(page, 'label').map((one) => one.attributes['for']));
  for (const { tag, attributes } of everything) {
    must(!Object.keys(attributes).some((name) => name === 'style' || name.startsWith('on')), `${tag} has style or script`);
    if (tag === 'input' && attributes['type'] !== 'hidden') {
      must(labels.has(attributes['id']) || 'aria-label' in attributes, `no label: ${JSON.stringify(attributes)}`);
      must('autocomplete' in attributes, `no autocomplete: ${JSON.stringify(attributes)}`);
    }
    for (const name of ['aria-describedby', 'aria-labelledby', 'for'])
      must(attributes[name]?.split(' ').every((id) => ids.includes(id)) !== false, `${name} of ${tag} names nothing`);
    must(tag !== 'form' || attributes['method'] === 'post', 'a form that is not posted');
  }
  return found;
}

test('every page of logging in and of the account is decent, refused or not', async () => {
  const nobody = (): Browser => new Browser(corral.base);
  const link = await makeLink(corral.db(), undefined);
  const seen: [string, Response][] = [];
  const look = async (what: string, answer: Response | Promise<Response>, status = 200): Promise<Response> => {
    const got = await answer;
    expect([what, got.status]).toEqual([what, status]);
    const copy = got.clone();
    seen.push([what, got]);
    return copy;
  };
  await look('login', nobody().ask('/login'));
  await look('login refused', nobody().post('/login', { name: hostile, password: hostile, next: hostile }), 401);
  await look('token refused', nobody().post('/login', { token: hostile, next: hostile }), 401);
  await look('first', nobody().ask(`/login/first?link=${link}`));
  await look('first refused', nobody().post('/login/first', { link, name: hostile, full_name: hostile, password: hostile, repeated: 'x' }), 422);
  await look('gone', nobody().ask('/login/first?link=x'), 410);
  const jane = await makePerson(corral, 'jane', { full_name: hostile, admin: true });
  await look('new link', jane.post('/api/v1/people/jane/reset', {}));
  await look('account', jane.ask('/account'));
  await look('account done', jane.ask('/account?done=password'));
  await look('password refused', jane.post('/account/password', { current: 'x', password: hostile, repeated: 'x' }), 401);
  await look('new password refused', jane.post('/account/password', { current: PASSWORD, password: 'x', repeated: 'x' }), 422);
  await look('set-up refused', jane.post('/account/factor', { current: 'x' }), 401);
  await jane.post('/account/factor', { current: PASSWORD });
  const secret = secretIn(await (await look('set-up', jane.ask('/account/factor'))).text());
  await look('first code refused', jane.post('/account/factor/confirm', { code: hostile }), 401);
  await look('recovery codes', jane.post('/account/factor/confirm', { code: codeOf(secret) }));
  await look('account with factor', jane.ask('/account'));
  await look('removal refused', jane.post('/account/factor/remove', { code: 'x' }), 401);
  await look('codes refused', jane.post('/account/codes', { code: 'x' }), 401);
  await look('no such session', jane.post('/account/sessions', { session: hostile }), 404);
  const half = nobody();
  await half.login('jane');
  await look('factor', half.ask('/login/factor?next=//evil'));
  await look('factor refused', half.post('/login/factor', { code: hostile, next: hostile }), 401);
  for (const [what, answer] of seen) expect([what, ...(await faults(answer))]).toEqual([what]);
});

test("a person's page helps, for those who may", async () => {
  const joe = await makePerson(corral, 'joe', { admin: true });
  await setUp(joe);
  const page = parse(await (await joe.ask('/api/v1/people/joe')).text());
  const buttons = all(page, 'button').map(text);
  for (const one of ['New login link', 'Remove the second factor', 'End all sessions']) expect(buttons).toContain(one);
  const made = await (await joe.post('/api/v1/people', { name: 'kim' })).text();
  expect(made).toContain(`${corral.base}/login/first?link=`);
  const reader = String((await corral.make('token', { name: 'reader', kind: 'reader' }))['token']);
  const plain = await corral.request('/api/v1/people/joe', { token: reader, headers: { accept: 'text/html' } });
  expect([plain.status, (await plain.text()).includes('New login link')]).toEqual([200, false]);
});
