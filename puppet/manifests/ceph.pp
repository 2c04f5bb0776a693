# @summary What every part of Ceph needs: its commands.
#
# @api private
class corral::ceph {
  require corral::host

  corral::install { 'ceph': }
}
