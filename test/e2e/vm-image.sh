#!/bin/sh
# Make the disk of a host that is a virtual machine: Debian 12 with systemd, LVM, libvirt and Puppet.
# The kernel of a test machine may lack device-mapper and VLANs; Debian's cloud kernel has both.
#
#   test/e2e/vm-image.sh IMAGE      writes IMAGE, a qcow2 file; about 90 s the first time
#
# Its only way in is the QEMU guest agent. Needs root, debootstrap, qemu-utils and linux-image-cloud-amd64.
set -eu
image=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kernel=$(ls /boot/vmlinuz-*-cloud-amd64 | sort -V | tail -n 1)
version=${kernel#/boot/vmlinuz-}
mirror=$(grep -hEo '^(URIs:|deb) .*' /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null | grep -Eo 'https?://[^ ]+' | head -n 1)
# debootstrap does not choose between alternatives: libpam-systemd and dbus-user-session are named for it.
packages=systemd-sysv,libpam-systemd,dbus-user-session,udev,dbus,kmod,netbase,adduser,ca-certificates,iproute2
packages=$packages,lvm2,libvirt-daemon-system,libvirt-clients,qemu-system-x86,qemu-utils,qemu-block-extra,ovmf,libvirt-daemon-driver-storage-rbd,python3-libvirt,xorriso
packages=$packages,puppet-agent,qemu-guest-agent
mkdir -p "$(dirname "$image")/debs"
debootstrap --cache-dir="$(cd "$(dirname "$image")" && pwd)/debs" --variant=minbase --include="$packages" \
  bookworm "$work/root" "${mirror:-http://deb.debian.org/debian}"
root=$work/root
mkdir -p "$root/lib/modules"
cp -a "/lib/modules/$version" "$root/lib/modules/"
echo '/dev/vda / ext4 defaults 0 1' > "$root/etc/fstab"
printf '[Match]\nName=eth0\n[Network]\nAddress=10.231.77.21/24\nLinkLocalAddressing=no\n' > "$root/etc/systemd/network/eth0.network"
echo hv3.example.net > "$root/etc/hostname"
printf '127.0.0.1 localhost\n10.231.77.21 hv3.example.net hv3\n10.231.77.1 puppetserver.example.net\n' > "$root/etc/hosts"
printf 'dm_mod\n8021q\n' > "$root/etc/modules-load.d/corral-e2e.conf"
chroot "$root" systemctl -q enable systemd-networkd
chroot "$root" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer systemd-networkd-wait-online.service puppet.service
truncate -s 4G "$work/disk"
mke2fs -q -t ext4 -d "$root" "$work/disk"
qemu-img convert -O qcow2 "$work/disk" "$image.new"
mv "$image.new" "$image"
