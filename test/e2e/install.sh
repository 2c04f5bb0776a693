#!/bin/sh
# Install what the end-to-end tests need: Debian packages, and Salt from PyPI in a venv.
#
#   test/e2e/install.sh [DIR]        DIR defaults to $CORRAL_E2E_DIR, then /var/cache/corral-e2e
#
# It can be run again and again: what is there is left alone, and nothing is downloaded then.
# What could not be installed is printed plainly; the exit status is 0 all the same, because the
# tests skip what they cannot run. The lines on standard output that start with "available" or
# "missing" are for programs; the same list is written to DIR/available.txt:
#
#   available puppetserver 7.9.5-2+deb12u1
#   missing salt no network
#
# Services that the packages would start are not started. CORRAL_E2E_PARTS limits the work, for
# example CORRAL_E2E_PARTS="puppet salt"; the parts are puppet, libvirt, host, vm, chromium, ldap and salt.
set -u

dir=${1:-${CORRAL_E2E_DIR:-/var/cache/corral-e2e}}
parts=${CORRAL_E2E_PARTS:-puppet libvirt host vm chromium ldap salt}
salt_version=${CORRAL_SALT_VERSION:-3007.*}
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

say() { echo "install.sh: $*" >&2; }

if ! mkdir -p "$dir" 2>/dev/null || ! [ -w "$dir" ]; then
  say "cannot write to $dir: nothing was installed"
  for part in $parts; do echo "missing $part cannot write to $dir"; done
  exit 0
fi
list=$dir/available.txt
new_list=$dir/.available.$$
: > "$new_list"

# One installation at a time, however many tests ask for it.
exec 9> "$dir/.lock"
flock 9 2>/dev/null || say "flock is missing: going on without a lock"

policy=/usr/sbin/policy-rc.d
policy_is_ours=
clean_up() {
  rm -f "$new_list"
  [ -z "$policy_is_ours" ] || rm -f "$policy"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

report() { echo "$*" | tee -a "$new_list"; }

version_of() { dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" 2>/dev/null | sed -n 's/^installed //p'; }

forbid_services() {
  [ -e "$policy" ] && return
  printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy" && policy_is_ours=yes
}

# Install what is missing of the packages named, each on its own if all together fail.
debian() {
  missing=
  for package in "$@"; do
    [ -n "$(version_of "$package")" ] || missing="$missing $package"
  done
  if [ -n "$missing" ]; then
    if ! command -v apt-get > /dev/null; then
      reason="this is not Debian or Ubuntu: there is no apt-get"
    elif [ "$(id -u)" != 0 ]; then
      reason="needs root"
    else
      reason="apt-get could not install it, see $dir/apt.log"
      forbid_services
      say "installing$missing (log: $dir/apt.log)"
      # shellcheck disable=SC2086 # the list is split on purpose
      apt_install $missing || { apt_get update && apt_install $missing; } ||
        for package in $missing; do apt_install "$package"; done
    fi
  fi
  for package in "$@"; do
    version=$(version_of "$package")
    if [ -n "$version" ]; then
      report "available $package $version"
    else
      say "could not install $package: $reason"
      report "missing $package $reason"
    fi
  done
}

apt_get() {
  apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -q "$@" >> "$dir/apt.log" 2>&1
}

apt_install() {
  apt_get install -y --no-install-recommends "$@"
}

salt_version_in() {
  "$1/bin/python" -c 'import salt.version; print(salt.version.__version__)' 2>/dev/null
}

salt() {
  venv=$dir/salt
  version=$(salt_version_in "$venv")
  if [ -z "$version" ]; then
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
      debian python3-venv
    fi
    say "installing Salt from PyPI into $venv (log: $dir/pip.log)"
    rm -rf "$venv"
    # Salt's package does not name everything that it imports: setuptools, looseversion and others
    # come with its "onedir" builds.
    if python3 -m venv "$venv" >> "$dir/pip.log" 2>&1 &&
      "$venv/bin/pip" install -q --disable-pip-version-check "salt==$salt_version" 'setuptools<81' \
        >> "$dir/pip.log" 2>&1; then
      version=$(salt_version_in "$venv")
    fi
  fi
  if [ -n "$version" ]; then
    report "available salt $version $venv"
  else
    say "could not install Salt: see $dir/pip.log"
    report "missing salt pip could not install it, see $dir/pip.log"
  fi
}

vm() {
  debian debootstrap
  image=$dir/vm/host.qcow2
  if ! [ -e "$image" ]; then
    say "making the disk of a virtual host (log: $dir/vm.log)"
    mkdir -p "$dir/vm"
    sh "$(dirname "$0")/vm-image.sh" "$image" > "$dir/vm.log" 2>&1 || tail -n 5 "$dir/vm.log" >&2
  fi
  if [ -e "$image" ]; then report "available vm-host $image"; else report "missing vm-host see $dir/vm.log"; fi
}

for part in $parts; do
  case $part in
    puppet) debian puppetserver puppet-agent ruby-rspec-puppet ruby-rspec rubocop puppet-lint ;;
    libvirt) debian libvirt-clients libvirt-daemon libxml2-utils ;;
    # What a host needs, and what makes its guests and its package.
    host)
      debian python3-libvirt python3-pytest libvirt-daemon-system libvirt-daemon-driver-storage-rbd qemu-system-x86 \
        qemu-utils qemu-block-extra qemu-guest-agent xorriso iproute2 ceph-mon ceph-mgr ceph-osd ceph-common lvm2 \
        linux-image-cloud-amd64 busybox-static cpio mtools syslinux debhelper dh-python dpkg-dev fakeroot
      ;;
    vm) vm ;;
    chromium) debian chromium ;;
    # OpenLDAP, and Samba as an Active Directory.
    ldap) debian slapd ldap-utils samba samba-ad-dc samba-ad-provision samba-dsdb-modules ;;
    salt) salt ;;
    *) say "unknown part: $part" ;;
  esac
done

mv "$new_list" "$list"
