"""Ceph's folders and a network by themselves, for the process that runs the tests.

The daemons that the tests start see the same, and end when this process does. Needs root and the
programs of Ceph. Hosts are addresses of one bridge: what they have in common (/etc/ceph) is the
same everywhere, and what is each one's own has its name in it.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000

FSID = "a7f64266-0894-4f1e-a635-d0aeaca0e993"
NETWORK = "10.97.0"
FOLDERS = ("/etc/ceph", "/run/ceph", "/var/lib/ceph", "/var/log/ceph", "/var/lib/corral")
PROGRAMS = ("ceph-mon", "ceph-mgr", "ceph-osd", "ceph", "rbd", "monmaptool", "ip", "mount")
SOURCE = Path(__file__).parents[2] / "src"

#: Keys as people have them: any of Ceph's form will do.
SECRETS = {
    "mon.": "AQBi5d5mAAAAABAAZmVlZGZhY2VjYWZlYmVlZg==",
    "client.admin": "AQBi5d5mAAAAABAAYWRtaW5hZG1pbmFkbWluMQ==",
    "client.bootstrap-osd": "AQBi5d5mAAAAABAAYm9vdHN0cmFwYm9vdHN0cg==",
    "client.libvirt": "AQBi5d5mAAAAABAAbGlidmlydGxpYnZpcnRsaQ==",
}
OTHER_SECRET = "AQBi5d5mAAAAABAAb3RoZXJvdGhlcm90aGVyb3RoZQ=="

SETUP = f"""
set -e
mount --make-rprivate /
for dir in {" ".join(FOLDERS)}; do
  mkdir -p $dir
  mount -t tmpfs -o mode=755 tmpfs $dir
done
ip link set lo up
ip link add ceph0 type bridge
for n in 1 2 3; do ip addr add {NETWORK}.$n/24 dev ceph0; done
ip link set ceph0 up
"""

# Our end of this pipe closes with the process that runs the tests, however that ends.
JANITOR = """
trap '' HUP INT TERM
cat >/dev/null
for process in /proc/[0-9]*; do
  [ "$(readlink $process/ns/net)" = "$(readlink /proc/self/ns/net)" ] || continue
  case "$(cat $process/comm)" in ceph-mon|ceph-mgr|ceph-osd) kill -9 ${process#/proc/};; esac
done
"""


def missing() -> str | None:
    """Return why there can be no cluster here, or nothing when there can."""
    if os.geteuid() != 0:
        return "root is needed"
    try:
        import rados  # noqa: F401, PLC0415
    except ImportError:
        return "python3-rados is not installed for this Python"
    return next((f"{one} is not installed" for one in PROGRAMS if shutil.which(one) is None), None)


class Lab:
    """Folders and addresses for one cluster; ``stop()`` ends its daemons."""

    def __init__(self) -> None:
        """Move this process into namespaces of its own, unless other tests have done so."""
        if not Path("/etc/corral").is_mount():
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot make namespaces")
        subprocess.run(["sh", "-c", SETUP], check=True)
        self._janitor = subprocess.Popen(["sh", "-c", JANITOR], stdin=subprocess.PIPE)

    def stop(self) -> None:
        """End the daemons, and take the addresses away."""
        self._janitor.communicate()
        subprocess.run(["ip", "link", "del", "ceph0"], check=True)
        for folder in FOLDERS:
            subprocess.run(["umount", "--lazy", folder], check=True)


def mon_spec(*names: str) -> dict:
    """Return the spec of a monitor; mon1 begins the cluster."""
    return {
        "ensure": "present",
        "cluster": {"name": "ceph", "fsid": FSID, "public_network": f"{NETWORK}.0/24"},
        "peers": {
            name: {
                "ensure": "present",
                "host": f"{name}.example.net",
                "address": f"{NETWORK}.{name[-1]}",
                "port": 6789,
                **({"founder": True} if name == "mon1" else {}),
            }
            for name in names
        },
        "keys": {entity: {"secret": SECRETS[entity]} for entity in ("mon.", "client.admin")},
    }


def config_spec(*names: str) -> dict:
    """Return the spec of the configuration: OSDs of one host count as apart."""
    # The tests' only host is enough for two copies.
    options = {
        "global": {"osd_crush_chooseleaf_type": "0"},
        "osd": {"osd_memory_target": "939524096"},
    }
    mon = mon_spec(*names)
    return {"ensure": "present", **{k: mon[k] for k in ("cluster", "peers")}, "options": options}


def ceph(*arguments: str) -> object:
    """Ask the cluster with Ceph's own program."""
    command = ["ceph", "--connect-timeout", "10", *arguments, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def apply_elsewhere(kind: str, things: dict) -> subprocess.Popen:
    """Begin to apply things in a process of its own, as another host would."""
    process = subprocess.Popen(
        [sys.executable, "-m", "corral_host.cli", "apply", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    process.stdin.write(json.dumps(things))
    process.stdin.close()
    process.stdin = None
    return process
