import type { Command } from 'commander';
import type { Noun, Shape } from './nouns.ts';

export type Shell = 'bash' | 'zsh' | 'fish';
/** Words by what they complete; a line of a table is a pattern of `case` and its words. */
type Table = readonly (readonly [string, readonly string[]])[];

interface Tables {
  /** Subcommands, by command. */
  readonly sub: Table;
  /** Options, by command. */
  readonly options: Table;
  /** The words that an option takes, by `command option`. */
  readonly choices: Table;
  /** The singular of a noun, by all of its names. */
  readonly noun: Table;
  /** `field=` that can be written, by noun. */
  readonly write: Table;
  /** `field=` that can be filtered by, by noun. */
  readonly filter: Table;
  /** Values of fields with few of them, by `noun field`. */
  readonly values: Table;
}

/** A completion script, made from the command line itself and from the nouns. */
export function completionScript(shell: Shell, program: Command, nouns: readonly Noun[]): string {
  const tables = tablesOf(program, nouns);
  const takes = [
    ...new Set(
      commandsOf(program).flatMap(([, command]) =>
        command.options.filter((one) => one.required || one.optional).flatMap((one) => [one.short, one.long].filter((flag) => flag !== undefined)),
      ),
    ),
  ];
  const words = nouns.map((one) => one.plural.replaceAll('_', '-')).concat(nouns.map((one) => one.noun.replaceAll('_', '-')));
  const head = `# Completion of corral, made by: corral completion ${shell}\n`;
  return head + (shell === 'fish' ? fish(tables, takes, words) : posix(tables, takes, words) + (shell === 'bash' ? BASH : ZSH));
}

/** Every command with its name as it is typed, the program itself with an empty one. */
function commandsOf(program: Command, prefix = ''): [string, Command][] {
  return [[prefix, program], ...program.commands.flatMap((one) => commandsOf(one, `${prefix} ${one.name()}`.trim()))];
}

function tablesOf(program: Command, nouns: readonly Noun[]): Tables {
  const commands = commandsOf(program);
  const write = nouns.map((noun): [string, [string, Shape][]] => [noun.noun, leaves(noun.write, '')]);
  return {
    sub: commands
      .filter(([, command]) => command.commands.length > 0)
      .map(([name, command]) => [name, [...command.commands.map((one) => one.name()), ...(name === '' ? ['help'] : [])]]),
    options: commands.map(([name, command]) => [
      name,
      [...command.options.flatMap((one) => [one.long, one.short].filter((flag) => flag !== undefined)), '--help'],
    ]),
    choices: commands.flatMap(([name, command]) => [
      ...command.options
        .filter((one) => one.argChoices)
        .flatMap((one) =>
          [one.long, one.short].filter((flag) => flag !== undefined).map((flag): [string, readonly string[]] => [`${name} ${flag}`, one.argChoices!]),
        ),
      ...command.registeredArguments.filter((one) => one.argChoices).map((one): [string, readonly string[]] => [`${name} <arg>`, one.argChoices!]),
    ]),
    noun: nouns.map((noun) => [
      [...new Set([noun.noun, noun.plural, noun.noun.replaceAll('_', '-'), noun.plural.replaceAll('_', '-')])].join('|'),
      [noun.noun],
    ]),
    write: write.map(([noun, fields]) => [noun, fields.map(([name]) => `${name}=`)]),
    filter: nouns.map((noun) => [noun.noun, noun.fields.flatMap((field) => field.operators.map((suffix) => `${field.name}${suffix}=`))]),
    values: nouns.flatMap((noun) => {
      const shapes = new Map<string, readonly string[]>();
      for (const field of noun.fields) if (field.choices) shapes.set(field.name, field.choices);
      for (const [name, shape] of leaves(noun.write, '')) {
        const choices = shape.choices ?? shape.items?.choices ?? (shape.type === 'boolean' ? ['true', 'false'] : undefined);
        if (choices) shapes.set(name, choices);
      }
      return [...shapes].map(([name, choices]): [string, readonly string[]] => [`${noun.noun} ${name}`, choices.filter((one) => !one.includes(' '))]);
    }),
  };
}

function leaves(props: Readonly<Record<string, Shape>>, prefix: string): [string, Shape][] {
  return Object.entries(props).flatMap(([name, shape]): [string, Shape][] =>
    shape.props ? leaves(shape.props, `${prefix}${name}.`) : [[prefix + name, shape]],
  );
}

const quoted = (text: string): string => (text.includes('|') ? text : `'${text}'`);

function posix(tables: Tables, takes: readonly string[], words: readonly string[]): string {
  const one = ([name, table]: [string, Table]): string =>
    `_corral_${name}() {\n  case "$1" in\n${table.map(([pattern, list]) => `    ${quoted(pattern)}) echo '${list.join(' ')}' ;;`).join('\n')}\n  esac\n}\n`;
  return `${(Object.entries(tables) as [string, Table][]).map(one).join('')}_corral_nouns='${words.join(' ')}'
_corral_takes=' ${takes.join(' ')} '
# Says what may stand at the end of the words before it: prints words, or ":files".
_corral_words() {
  local command='' rest='' noun='' count=0 skip='' word
  for word in "$@"; do
    if [ -n "$skip" ]; then skip=''; continue; fi
    case "$word" in
      -*) case "$_corral_takes" in *" $word "*) skip=$word ;; esac; continue ;;
    esac
    if [ -z "$command" ]; then command=$word
    elif [ $count = 0 ] && [ -z "$rest" ] && [ -n "$(_corral_sub "$command")" ]; then rest=$word; command="$command $word"
    else count=$((count + 1)); if [ $count = 1 ]; then noun=$(_corral_noun "$word"); fi
    fi
  done
  if [ -n "$skip" ]; then
    case "$skip" in -f|--file|--token-file) echo ':files' ;; *) if [ "$command $skip" = 'export -o' ] || [ "$command $skip" = 'export --output' ]; then echo ':files'; else _corral_choices "$command $skip"; fi ;; esac
    return
  fi
  case "$_corral_current" in -*) _corral_options "$command"; return ;; esac
  case "$command" in
    get|create|set|delete)
      if [ $count = 0 ]; then echo "$_corral_nouns"
      elif [ "$command" = get ]; then _corral_filter "$noun"
      elif [ "$command" = create ] || { [ "$command" = set ] && [ $count -ge 2 ]; }; then _corral_write "$noun"
      fi ;;
    import) echo ':files' ;;
    help) _corral_sub '' ;;
    *) if [ $count = 0 ]; then echo "$(_corral_sub "$command") $(_corral_choices "$command <arg>")"; fi ;;
  esac
}
# The values of the field before "=": the words, the field.
_corral_value_words() {
  local field=$1 word seen='' noun=''
  shift
  for word in "$@"; do
    case "$word" in
      -*) ;;
      *) if [ -z "$seen" ]; then seen=$word; elif [ -z "$noun" ]; then noun=$(_corral_noun "$word"); fi ;;
    esac
  done
  _corral_values "$noun \${field%%__*}"
}
`;
}

/* readline splits words at "=" (COMP_WORDBREAKS), so that a field, "=" and its value come one by one. */
const BASH = `_corral() {
  local words
  _corral_current=\${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  if [ "$_corral_current" = '=' ]; then
    words=$(_corral_value_words "\${COMP_WORDS[COMP_CWORD-1]}" "\${COMP_WORDS[@]:1:COMP_CWORD-2}")
    _corral_current=''
  elif [ "\${COMP_WORDS[COMP_CWORD-1]}" = '=' ]; then
    words=$(_corral_value_words "\${COMP_WORDS[COMP_CWORD-2]}" "\${COMP_WORDS[@]:1:COMP_CWORD-3}")
  else
    words=$(_corral_words "\${COMP_WORDS[@]:1:COMP_CWORD-1}")
  fi
  if [ "$words" = ':files' ]; then COMPREPLY=($(compgen -f -- "$_corral_current")); return; fi
  COMPREPLY=($(compgen -W "$words" -- "$_corral_current"))
  case "\${COMPREPLY[0]}" in *=) compopt -o nospace 2>/dev/null ;; esac
  return 0
}
complete -F _corral corral
`;

const ZSH = `_corral() {
  local found field
  _corral_current=$words[CURRENT]
  if [[ $_corral_current == *=* ]]; then
    field=\${_corral_current%%=*}
    found=$(_corral_value_words $field "\${(@)words[2,CURRENT-1]}")
    compset -P '*='
    compadd -- \${(z)found}
    return
  fi
  found=$(_corral_words "\${(@)words[2,CURRENT-1]}")
  if [[ $found == ':files' ]]; then _files; return; fi
  local -a fields plain
  for field in \${(z)found}; do
    if [[ $field == *= ]]; then fields+=($field); else plain+=($field); fi
  done
  compadd -- $plain
  compadd -S '' -- $fields
}
if [ "$funcstack[1]" = _corral ]; then _corral "$@"; else compdef _corral corral; fi
`;

function fish(tables: Tables, takes: readonly string[], words: readonly string[]): string {
  const one = ([name, table]: [string, Table]): string =>
    `function _corral_${name}\n  switch "$argv[1]"\n${table
      .map(
        ([pattern, list]) =>
          `    case ${pattern
            .split('|')
            .map((part) => `'${part}'`)
            .join(' ')}\n      printf '%s\\n' ${list.map((word) => `'${word}'`).join(' ')}`,
      )
      .join('\n')}\n  end\nend\n`;
  return `${(Object.entries(tables) as [string, Table][]).map(one).join('')}set -g _corral_nouns ${words.join(' ')}
set -g _corral_takes ${takes.map((flag) => `'${flag}'`).join(' ')}
function _corral_complete
  set -l before (commandline -opc)[2..-1]
  set -l current (commandline -ct)
  set -l command ''
  set -l rest ''
  set -l noun ''
  set -l count 0
  set -l skip ''
  for word in $before
    if test -n "$skip"
      set skip ''
      continue
    end
    if string match -q -- '-*' $word
      contains -- $word $_corral_takes; and set skip $word
      continue
    end
    if test -z "$command"
      set command $word
    else if test $count = 0 -a -z "$rest"; and test -n "$(_corral_sub $command)"
      set rest $word
      set command "$command $word"
    else
      set count (math $count + 1)
      test $count = 1; and set noun (_corral_noun $word)
    end
  end
  if test -n "$skip"
    _corral_choices "$command $skip"
  else if string match -q -- '-*' $current
    _corral_options "$command"
  else if string match -q -- '*=*' $current
    set -l field (string split -m 1 = -- $current)[1]
    for value in (_corral_values "$noun $(string replace -r '__.*' '' -- $field)")
      echo "$field=$value"
    end
  else if contains -- "$command" get create set delete
    if test $count = 0
      printf '%s\\n' $_corral_nouns
    else if test "$command" = get
      _corral_filter $noun
    else if test "$command" = create; or test "$command" = set -a $count -ge 2
      _corral_write $noun
    end
  else if test $count = 0
    _corral_sub "$command"
    _corral_choices "$command <arg>"
  end
end
complete -c corral -f -a '(_corral_complete)'
complete -c corral -n '__fish_seen_subcommand_from import' -F
complete -c corral -s f -l file -r -F
complete -c corral -l token-file -r -F
`;
}
