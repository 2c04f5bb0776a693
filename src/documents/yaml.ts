/** YAML that Ruby's Psych (YAML 1.1), PyYAML and YAML 1.2 readers all take for the same data. */
import { dump, SCALAR_STYLE, strTag, type ScalarLayout } from 'js-yaml';

/** Keys that every reader takes for text without quotes; the words that YAML 1.1 has for true, false, null are not. */
const PLAIN_KEY = /^(?!(?:y|yes|n|no|on|off|true|false|null)$)[a-z][a-z0-9_]*(?:::[a-z0-9_]+)*$/;

/**
 * Plain data as YAML: every text, and every key but a simple name, in double quotes, so that no reader
 * makes a symbol, a date, a number, a truth value or a null of it; no anchors, no folded lines. js-yaml's
 * own `forceQuotes` leaves keys alone. Throws for what is not plain data.
 */
export function toYaml(data: object): string {
  return dump(data, { noRefs: true, lineWidth: -1, scalarStyleRules: [quote] });
}

function quote(layout: ScalarLayout): void {
  if (layout.node.tag !== strTag.tagName) return;
  if (layout.isKey && PLAIN_KEY.test(layout.node.value)) return;
  layout.style = SCALAR_STYLE.DOUBLE_QUOTED;
}
