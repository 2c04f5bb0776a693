/** Explanations as plain text, in the manner of `puppet lookup --explain`. Pure. */
import type { Json } from '../documents/canonical.ts';
import { scopeText } from './reach.ts';
import type { ChangeNote, ExplainedValue, Explanation, Kind, LayerNote, Looked, Places } from './types.ts';

const kinds: Readonly<Record<Kind, string>> = {
  class: 'Class',
  class_parameter: 'Parameter that the class is declared with',
  parameter: 'Top-scope variable',
  environment: 'Environment',
  data: 'Data',
};

/** Text of others, with nothing in it that would steer a terminal. */
function safe(text: string): string {
  return text.replaceAll(
    /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const inLine = (text: string): string => safe(text.replaceAll('\n', '\\n'));
const indented = (lines: readonly string[], by = 2): string[] => lines.map((line) => ' '.repeat(by) + line);

/** A value as JSON; of a secret the word that stands for it. */
function valueLines(value: Json, secret: boolean): string[] {
  return secret ? ['(secret)'] : safe(JSON.stringify(value, null, 2)).split('\n');
}

/** `label value`, where the value may take several lines. */
function labelled(label: string, value: Json, secret: boolean): string[] {
  const [first = '', ...rest] = valueLines(value, secret);
  return [`${label}${first}`, ...rest];
}

export function changeText({ number, at, actor, message }: ChangeNote): string {
  return `change ${number}, ${at.replace(/\.\d+Z$/, 'Z')}, by ${inLine(actor)}${message === null ? '' : `: ${inLine(message)}`}`;
}

const layerText = (one: LayerNote): string => `${one.layer} (${inLine(scopeText(one))}, weight ${one.weight})`;

const outcomes: Readonly<Record<'won' | 'contributed' | 'lost', string>> = {
  won: 'It is the value',
  contributed: 'It is part of the value',
  lost: 'A layer above it came first',
};

function lookedLines(one: Looked, key: string): string[] {
  const head = `Layer ${layerText(one)}`;
  if (one.outcome === 'silent') return [head, '  No such key'];
  const found = labelled(`Found key: "${inLine(key)}" value: `, one.value ?? null, one.secret);
  const set = one.change ? `Set by ${changeText(one.change)}` : 'Set before changes were kept';
  if (one.outcome === 'out_of_reach')
    return [
      head,
      ...indented([
        `Does not reach this node: ${inLine(one.because)}`,
        ...(one.value === undefined ? ['Sets the key, but not this part of it'] : [...found, set]),
      ]),
    ];
  return [head, ...indented([`Reaches this node: ${inLine(one.because)}`, ...found, outcomes[one.outcome], set])];
}

function placesText({ enc, hiera, pillar, tops }: Places, manager: Explanation['manager']): string {
  const found = manager === 'puppet' ? [enc && `ENC ${enc}`, hiera && `Hiera key ${hiera}`] : [pillar && `pillar ${pillar}`, tops && `state ${tops}`];
  const shown = found.filter((one) => one !== undefined && one !== '');
  return shown.length === 0 ? '' : ` (${inLine(shown.join(', '))})`;
}

function sinceText({ version, change, or_earlier }: ExplainedValue['since']): string {
  const from = `${or_earlier ? 'As it is since version' : 'As it is since version'} ${version}${or_earlier ? ' or earlier' : ''}`;
  return change && !or_earlier ? `${from}, ${changeText(change)}` : from;
}

function valueText(one: ExplainedValue, { node, version, manager }: Explanation): string[] {
  const result = labelled(one.layers.length > 0 && one.strategy !== 'first' && one.kind === 'data' ? 'Merged result: ' : 'Value: ', one.value, one.secret);
  const strategy =
    one.declared_by.length > 0 ? `Merge strategy ${one.strategy}, which the layers declare: ${one.declared_by.join(', ')}` : `Merge strategy ${one.strategy}`;
  const from =
    one.source === 'model'
      ? [`From the model of Corral: ${one.from.join(', ')}`]
      : [...(one.kind === 'data' ? [strategy] : []), ...one.layers.flatMap((layer) => lookedLines(layer, one.key))];
  return [
    `Searching for "${inLine(one.key)}" in the documents of ${node}, version ${version}`,
    ...indented([
      `${kinds[one.kind]}${placesText(one.places, manager)}`,
      ...indented([...from, ...result, sinceText(one.since), ...one.notes.map((note) => `Note: ${note}`)]),
    ]),
  ];
}

/** What one key, or some, come from. */
export function explanationText(explanation: Explanation): string {
  const lines =
    explanation.key === undefined
      ? overviewLines(explanation)
      : explanation.values.flatMap((one, i) => [...(i === 0 ? [] : ['']), ...valueText(one, explanation)]);
  return `${lines.join('\n')}\n`;
}

const headings: Readonly<Record<Kind, string>> = {
  class: 'Classes',
  class_parameter: 'Parameters that classes are declared with',
  parameter: 'Top-scope variables',
  environment: 'Environment',
  data: 'Data',
};

/** Longest value on a line of its own. */
const SHORT = 60;

export function shortValue(value: Json, secret: boolean): string {
  if (secret) return '(secret)';
  const text = inLine(JSON.stringify(value));
  return text.length > SHORT ? `${[...text].slice(0, SHORT - 1).join('')}…` : text;
}

/** The layers, or the nouns, that a value comes from. */
export const sourceText = ({ source, won }: Pick<ExplainedValue, 'source' | 'won'>): string => (source === 'model' ? 'model' : won.join(', '));

/** Every value on a line: its key, what it comes from, the value. */
function overviewLines({ node, version, manager, layers, values }: Explanation): string[] {
  const lines = [
    `Documents of ${node} (${manager === 'puppet' ? 'Puppet' : 'Salt'}), version ${version}`,
    '',
    'Layers that reach it, in the order in which they are looked at:',
  ];
  lines.push(...(layers.length === 0 ? ['  none'] : layers.map((one) => `  ${layerText(one)}: ${inLine(one.because)}`)));
  const keys = Math.min(48, Math.max(...values.map(({ key }) => key.length)));
  const sources = Math.min(32, Math.max(...values.map((one) => sourceText(one).length)));
  for (const kind of Object.keys(headings) as Kind[]) {
    const some = values.filter((one) => one.kind === kind);
    if (some.length === 0) continue;
    lines.push('', headings[kind]);
    for (const one of some) {
      const value = kind === 'class' ? one.notes.join(' ') : shortValue(one.value, one.secret);
      lines.push(`  ${inLine(one.key).padEnd(keys)}  ${sourceText(one).padEnd(sources)}  ${value}`.trimEnd());
    }
  }
  return lines;
}
