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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corral_host.engine import Engine

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
OTHER_SECRET = "AQBi5d5mAAAAABAAb3RoZXJvdGhlcm90aGVyb3RoZQ=="  # noqa: S105 - of the tests only

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


DAEMONS = """
daemons() { pgrep --ns $$ --nslist net -f "^ceph-$1"; }
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
    # The tests' only host is enough for two copies; Ceph's own pools want three otherwise.
    one_host = {"osd_crush_chooseleaf_type": "0", "osd_pool_default_size": "2"}
    options = {"global": one_host, "osd": {"osd_memory_target": "939524096"}}
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
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    process.stdin.write(json.dumps(things))
    process.stdin.close()
    process.stdin = None
    return process


def key_spec(entity: str, **caps: str) -> dict:
    """Return the spec of a key."""
    return {"ensure": "present", "secret": SECRETS[entity], "caps": caps}


def osd_uuid(number: int) -> str:
    """Return the uuid of one of the tests' OSDs."""
    return f"c0ffee00-0000-4000-8000-{number:012}"


def osd_spec(number: int, size: int = 2 << 30) -> tuple[str, dict]:
    """Return uuid and spec of an OSD on a sparse file, which is made if it is missing."""
    path = Path(f"/var/lib/corral/disk{number}")
    if not path.exists():
        with path.open("wb") as file:
            file.truncate(size)
    spec = {"ensure": "present", "cluster": {"name": "ceph"}, "data_device": str(path)}
    return osd_uuid(number), {**spec, "device_class": "ssd", "weight": 0.5 * number}


def whole(*names: str, osds: int) -> dict[str, dict[str, dict]]:
    """Return the specs of a whole cluster by kind and name, in the order of a run."""
    keys = {
        "mon.": key_spec("mon.", mon="allow *"),
        "client.admin": key_spec(
            "client.admin", mon="allow *", osd="allow *", mgr="allow *", mds="allow *"
        ),
        "client.bootstrap-osd": key_spec("client.bootstrap-osd", mon="profile bootstrap-osd"),
        "client.libvirt": key_spec("client.libvirt", mon="profile rbd", osd="profile rbd pool=vms"),
    }
    files = ("client.admin", "client.bootstrap-osd", "client.libvirt")
    pool = {"ensure": "present", "size": 2, "min_size": 1, "pg_num": 16, "application": "rbd"}
    return {
        "ceph_config": {"ceph": config_spec(*names)},
        "ceph_keyring": {f"ceph/{entity}": keys[entity] for entity in files},
        "ceph_mon": {name: mon_spec(*names) for name in names},
        "ceph_key": {f"ceph/{entity}": spec for entity, spec in keys.items()},
        "ceph_osd": dict(osd_spec(number) for number in range(1, osds + 1)),
        "ceph_pool": {"ceph/vms": pool},
    }


def sh(script: str) -> str:
    """Run a shell script and return what it prints; it must not fail.

    ``daemons 'mon .*--id mon1'`` prints the processes of this cluster's daemons, and no others'.
    """
    done = subprocess.run(
        ["sh", "-ec", DAEMONS + script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(engine: Engine, things: dict) -> list[str]:
    """Do what the tools do: compare all, and apply what differs. Returns what was changed."""
    assert engine.check(things) == []
    changed = []
    for kind, specs in things.items():
        for name, one in engine.compare(kind, specs).items():
            assert one["error"] is None, one
            assert one["refused"] == [], one
            if one["present"] != one["wanted"]:
                changed.append(f"{kind} {name} ensure")
            changed += [f"{kind} {name} {each['property']}" for each in one["differences"]]
            if one["present"] != one["wanted"] or one["differences"]:
                engine.apply(kind, name, specs[name])
    return changed
