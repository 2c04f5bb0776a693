# @summary Things of a document as attributes of their resources, by name.
#
# Fails when a thing says neither that it is present nor that it is absent: that is never guessed.
#
# @api private
#
# @param things
#   The things by name, as the document has them.
# @param ensure
#   Which of them: `present` or `absent`.
# @param more
#   What the specs need of the rest of the document.
# @return
#   `ensure` and `spec` by name. The spec is Sensitive when the things were.
function corral::entries(Corral::Things $things, Enum['present', 'absent'] $ensure, Hash $more = {}) >> Hash {
  $plain = $things.unwrap
  $plain.each |$name, $spec| {
    unless $spec['ensure'] in ['present', 'absent'] {
      fail("corral: ${name} has ensure '${spec['ensure']}', not present or absent")
    }
  }
  Hash($plain.filter |$_, $spec| { $spec['ensure'] == $ensure }.map |$name, $spec| {
      $whole = $more + $spec
      $hidden = $things ? {
        Sensitive => Sensitive($whole),
        default   => $whole,
      }
      [$name, { 'ensure' => $ensure, 'spec' => $hidden }]
  })
}
