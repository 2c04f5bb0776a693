"""A real libvirtd by itself, in namespaces of its own, for the process that runs the tests.

``enter()`` moves this process into a mount and a network namespace of its own, where the folders of
libvirt, Corral and Ceph are empty; what the tests start sees the same. Nothing of it is left when
the process ends, however that happens. Needs root. QEMU runs as libvirt-qemu, which cannot read
pytest's ``tmp_path``: disks go below /var/lib/corral.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000

#: Folders that are the machine's own outside and empty inside.
FOLDERS = (
    "/run/libvirt",
    "/etc/libvirt/qemu",
    "/etc/libvirt/secrets",
    "/etc/libvirt/storage",
    "/var/lib/libvirt",
    "/var/cache/libvirt",
    "/var/log/libvirt",
    "/etc/corral",
    "/var/lib/corral",
    "/etc/ceph",
    "/run/corral-hostd",
)

PROGRAMS = ("libvirtd", "virtlogd", "virsh", "qemu-system-x86_64", "qemu-img", "ip", "mount")

# /dev/kvm is hidden behind a file that nobody may open and that is no device: where libvirt's own
# check and QEMU disagree about KVM, libvirt probes QEMU anew at every call and takes minutes.
MOUNTS = """
set -e
mount --make-rprivate /
for dir in {folders}; do
  mkdir -p $dir
  mount -t tmpfs -o mode=755 tmpfs $dir
done
if [ -e /dev/kvm ]; then
  : >/run/libvirt/no-kvm
  chmod 0 /run/libvirt/no-kvm
  mount --bind /run/libvirt/no-kvm /dev/kvm
fi
ip link set lo up
# QEMU's own mount namespace cannot take the hidden /dev/kvm along. QEMU is not to run as root: it
# could open that file.
echo 'namespaces = []' >/run/libvirt/qemu.conf
mount --bind /run/libvirt/qemu.conf /etc/libvirt/qemu.conf
# There is no polkit to ask who may look.
echo 'auth_unix_ro = "none"' >/run/libvirt/libvirtd.conf
mount --bind /run/libvirt/libvirtd.conf /etc/libvirt/libvirtd.conf
"""

# Our end of this pipe closes with the process that runs the tests: only our own are ended then.
DAEMONS = """
virtlogd --pid-file /run/libvirt/corral-test-log.pid &
log=$!
libvirtd --pid-file /run/libvirt/corral-test.pid &
daemon=$!
trap '' HUP INT TERM
cat >/dev/null
kill -9 $daemon $log
for file in /run/libvirt/qemu/*.pid; do
  [ -e "$file" ] && kill -9 $(cat "$file")
done
"""


def missing() -> str | None:
    """Return why a real libvirt cannot be had here, or nothing when it can."""
    if os.geteuid() != 0:
        return "root is needed"
    try:
        import libvirt  # noqa: F401, PLC0415
    except ImportError:
        return "python3-libvirt is not installed for this Python"
    return next((f"{one} is not installed" for one in PROGRAMS if shutil.which(one) is None), None)


def enter() -> None:
    """Move this process into namespaces of its own. Threads that run already stay outside."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot make namespaces")
    subprocess.run(["sh", "-c", MOUNTS.format(folders=" ".join(FOLDERS))], check=True)


class Libvirtd:
    """The daemons; ``stop()`` ends them and every QEMU."""

    def __init__(self) -> None:
        """Start them and wait until they answer, for at most 30 s."""
        self._log = Path("/run/libvirt/corral-test.log").open("wb")  # noqa: SIM115
        self._process = subprocess.Popen(
            ["sh", "-c", DAEMONS], stdin=subprocess.PIPE, stdout=self._log, stderr=self._log
        )
        for _ in range(120):
            done = subprocess.run(
                ["virsh", "-c", "qemu:///system", "version"], capture_output=True, check=False
            )
            if done.returncode == 0:
                return
            time.sleep(0.25)
        self.stop()
        raise RuntimeError("libvirtd does not answer: " + Path(self._log.name).read_text()[-2000:])

    def stop(self) -> None:
        """End the daemons and the domains that run."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=30)
        self._log.close()


def virsh(*arguments: str, check: bool = True) -> str:
    """Run virsh and return what it prints. Raises ``AssertionError`` with its error."""
    done = subprocess.run(
        ["virsh", "-q", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    if check and done.returncode != 0:
        raise AssertionError(f"virsh {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()
