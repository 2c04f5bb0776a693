import { CORE_SCHEMA, defineMappingTag, defineScalarTag, defineSequenceTag, load, mapTag, seqTag, YAMLException } from 'js-yaml';
import { Problem } from '../kernel/problem.ts';

/** Puppet tags its report `!ruby/object:Puppet::Transaction::Report`: the tag says nothing that the data do not. */
const schema = CORE_SCHEMA.withTags(
  defineMappingTag('!ruby/', { ...mapTag, matchByTagPrefix: true, identify: () => false }),
  defineSequenceTag('!ruby/', { ...seqTag, matchByTagPrefix: true, identify: () => false }),
  defineScalarTag<string>('!ruby/', { resolve: (source) => source, matchByTagPrefix: true, identify: () => false }),
);

/** Reads the YAML that Puppet's stock report processor `http` posts. @throws Problem bad-body with the line */
export function parseRubyYaml(text: string): unknown {
  try {
    return load(text, { schema });
  } catch (cause) {
    /* The exception holds the whole body: it goes no further. */
    const place = cause instanceof YAMLException && cause.mark ? ` at line ${cause.mark.line + 1}` : '';
    const reason = cause instanceof YAMLException ? cause.reason : 'it is nested too deep';
    throw new Problem('bad-body', `The YAML body cannot be parsed${place}: ${reason}`);
  }
}
