#!/bin/sh
# Make a small Linux guest: Debian's cloud kernel, busybox and the QEMU guest agent on a disk that a BIOS boots.
#
#   test/e2e/guest.sh IMAGE        writes IMAGE, a raw disk of 40 MiB; takes about 2 s
#
# It takes its network card's address from nobody, answers the power button, plugs vCPUs and memory as
# they come, and says "guest is up" on its serial console. Needs linux-image-cloud-amd64, busybox-static,
# cpio, mtools, syslinux and, for the agent, qemu-guest-agent.
set -eu
image=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kernel=$(ls /boot/vmlinuz-*-cloud-amd64 | sort -V | tail -n 1)
version=${kernel#/boot/vmlinuz-}
root=$work/root
mkdir -p "$root/bin" "$root/lib/modules/$version" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp" "$root/etc/acpi/PWRF" "$root/var/log" "$root/var/run"
cp "$(command -v busybox)" "$root/bin/busybox"
for module in virtio_pci virtio_blk virtio_net virtio_console virtio_mem virtio_balloon evdev button; do
  modprobe -S "$version" -D "$module" | awk '$1 == "insmod" { print $2 }' >> "$work/modules"
done
awk '!seen[$0]++' "$work/modules" > "$work/ordered"
while read -r file; do
  cp "$file" "$root/lib/modules/$version/"
  basename "$file" >> "$root/lib/modules/order"
done < "$work/ordered"
if agent=$(command -v qemu-ga || ls /usr/sbin/qemu-ga 2> /dev/null); then
  cp "$agent" "$root/bin/qemu-ga"
  ldd "$agent" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
fi
cat > "$root/etc/acpi/PWRF/00000080" <<'END'
#!/bin/busybox sh
poweroff -f
END
cat > "$root/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod /lib/modules/$version/\$module; done < /lib/modules/order
echo online_movable > /sys/devices/system/memory/auto_online_blocks
ip link set lo up
for card in /sys/class/net/*; do ip link set \${card##*/} up; done
acpid
if [ -x /bin/qemu-ga ]; then
  while :; do
    # Without udev nobody makes the name that the agent looks for.
    for port in /sys/class/virtio-ports/*; do
      if [ "\$(cat \$port/name 2>/dev/null)" = org.qemu.guest_agent.0 ]; then
        qemu-ga -m virtio-serial -p /dev/\${port##*/} -t /run > /dev/null 2>&1
      fi
    done
    sleep 1
  done &
fi
echo "guest is up"
while :; do
  # vCPUs that were plugged wait to be told.
  for cpu in /sys/devices/system/cpu/cpu*/online; do [ "\$(cat \$cpu)" = 1 ] || echo 1 > \$cpu; done
  sleep 1
done
END
chmod 755 "$root/init" "$root/etc/acpi/PWRF/00000080"
(cd "$root" && find . | cpio -o -H newc -R 0:0 2> /dev/null | gzip -1 > "$work/initrd")
cat > "$work/syslinux.cfg" <<'END'
DEFAULT guest
LABEL guest
  KERNEL kernel
  INITRD initrd
  APPEND console=ttyS0 quiet tsc=unstable mitigations=off
END
rm -f "$image"
truncate -s 40M "$image"
mformat -i "$image" -t 80 -h 16 -s 64 ::
mcopy -i "$image" "$kernel" ::kernel
mcopy -i "$image" "$work/initrd" ::initrd
mcopy -i "$image" "$work/syslinux.cfg" ::syslinux.cfg
syslinux --install "$image"
