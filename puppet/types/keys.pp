# @summary Keys and secrets by name. Corral's lookup_options make them Sensitive.
type Corral::Keys = Variant[Hash[String[1], Any], Sensitive[Hash[String[1], Any]]]
