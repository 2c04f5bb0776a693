/** What classes, variables and keys may be called: Puppet's own rules, and what it or Corral keeps to itself. */

const CLASS = /^[a-z][a-z0-9_]*(::[a-z][a-z0-9_]*)*$/;
const PARAMETER = /^[a-z][a-z0-9_]*$/;
const VARIABLE = /^[a-z_][A-Za-z0-9_]*$/;

/** Words of Puppet's language, and the two classes that every catalog has. */
const reservedClasses = new Set(
  'and application attr case class consumes default define else elsif environment false function if in inherits main node or plan private produces settings site true type undef unless'.split(
    ' ',
  ),
);

/** Variables that the compiler or the server sets. */
const reservedVariables = new Set(
  'facts trusted server_facts environment title name module_name caller_module_name clientcert clientversion clientnoop agent_specified_environment servername serverip serverip6 serverversion'.split(
    ' ',
  ),
);

/** Why a class may not be in a layer; undefined: it may. */
export function classFault(name: string): string | undefined {
  if (name.length > 200 || !CLASS.test(name))
    return 'must be the name of a class: lower-case words of letters, digits and _, with :: between, e.g. profile::ntp';
  if (name === 'corral' || name.startsWith('corral::')) return "is Corral's own: roles and what a host has decide on it";
  return reservedClasses.has(name) ? 'is a word that Puppet keeps to itself' : undefined;
}

/** Why a class cannot have a parameter of this name. */
export function classParameterFault(name: string): string | undefined {
  if (name.length > 200 || !PARAMETER.test(name)) return "must be the name of a class's parameter: lower-case letters, digits and _, a letter first";
  return name === 'title' || name === 'name' ? 'is a name that Puppet keeps to itself' : undefined;
}

/** Why a layer may not set this variable. */
export function parameterFault(name: string): string | undefined {
  if (name.length > 200 || !VARIABLE.test(name)) return 'must be the name of a variable: letters, digits and _, a lower-case letter or _ first';
  if (name.startsWith('corral_')) return "is Corral's own: its variables begin with corral_";
  return reservedVariables.has(name) ? 'is a variable that Puppet itself sets' : undefined;
}

/** Why a layer may not set this key. */
export function keyFault(key: string): string | undefined {
  if (key === '' || key.length > 200 || /[\u0000-\u001f\u007f]/.test(key)) return 'must be 1 to 200 characters, none of them a control character';
  if (key.includes('.')) return 'has a dot, which Hiera reads as a path into a value; nest the value instead';
  if (/^\s|\s$|['"]|%\{/.test(key)) return 'must not have quotes, interpolation, or blanks at its ends';
  if (key === 'lookup_options') return 'is made by Corral from the strategies in merge';
  return key === 'corral' || key.startsWith('corral::') ? "is Corral's own: its keys begin with corral::" : undefined;
}

/** The literal that Hiera gives back as a percent sign. */
const ESCAPED = "%{literal('%')}{";

/** Whether Hiera would interpolate something in this text. */
export const interpolates = (text: string): boolean => text.includes('%{') && text.replaceAll(ESCAPED, '').includes('%{');
