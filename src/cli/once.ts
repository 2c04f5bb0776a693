import { note } from './emit.ts';
import { keyOf, type Noun } from './nouns.ts';
import { clean } from './text.ts';

type Row = Readonly<Record<string, unknown>>;

/** What is to be done with what is shown once, and how another is made, by noun and field. */
const PLACES: Readonly<Record<string, { readonly goes: string; readonly lost: (key: string) => string }>> = {
  'webhook.secret': {
    goes: 'Give it to the receiver, which checks the signature of each delivery with it (docs/changes.md#webhooks)',
    lost: (key) => `corral set webhook ${key} secret="whsec_$(openssl rand -base64 32)"`,
  },
  'token.token': { goes: 'Put it into a file that only its program reads', lost: (key) => `corral token rotate ${key}` },
  'enrolment_token.token': { goes: 'Hosts enrol with it', lost: (key) => `corral delete enrolment-token ${key}, and make another` },
  'person.login_link': { goes: 'Give it to the person: it sets the password, within an hour', lost: (key) => `corral person reset ${key}` },
};

/** Says what of a thing that was just made is not shown again, where it goes, and what to do when it is lost. */
export function noteOnce(noun: Noun, row: Row, quiet: boolean): void {
  const known = new Set([...noun.fields.map((field) => field.name), ...Object.keys(noun.includes)]);
  for (const [name, value] of Object.entries(row)) {
    if (known.has(name) || typeof value !== 'string') continue;
    const place = PLACES[`${noun.noun}.${name}`];
    const what = name.replaceAll('_', ' ');
    const lost = place ? `: ${place.lost(clean(keyOf(noun, row)))}` : '';
    if (quiet) note(`The ${what} was not printed (-q), and is not shown again. To get another${lost || ', make the thing anew'}`);
    else note(`The ${what} is shown this once.${place ? ` ${place.goes}.\nWhen it is lost${lost}` : ''}`);
  }
}
