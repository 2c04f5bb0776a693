# @summary One part of a node's document as a file in config_dir, for root only.
#
# @api private
#
# @param data
#   What goes into the file. When all of it is empty nothing is written.
define corral::part (
  Hash[String[1], Any] $data,
) {
  include corral

  if $data.any |$_, $value| { !$value.unwrap.empty } {
    # A Sensitive content is neither logged nor shown as a difference.
    file { "${corral::config_dir}/${title}.json":
      ensure  => file,
      owner   => 'root',
      mode    => '0600',
      content => corral::to_json($data),
    }
  } else {
    warning("corral: the document of ${corral::node} has nothing for ${title}: nothing is written")
  }
}
