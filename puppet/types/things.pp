# @summary Things of one kind by name, each with `ensure`. Corral's lookup_options make those with secrets Sensitive.
type Corral::Things = Variant[Hash[String[1], Hash[String[1], Any]], Sensitive[Hash[String[1], Hash[String[1], Any]]]]
