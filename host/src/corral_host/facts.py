"""Facts of this host: its size, its disks and the versions of what runs on it.

They are read from /proc and /sys and from the package database, never from the network. Versions
are asked for again only when their source changed.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from corral_host import __version__

#: Packages of which the first that is installed tells the version of a part.
PACKAGES = {
    "libvirt": ("libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt0", "libvirt-libs"),
    "qemu": ("qemu-system-x86", "qemu-system-arm", "qemu-kvm-core", "qemu-kvm"),
    "ceph": ("ceph-common", "ceph-base", "librados2"),
    "puppet": ("puppet-agent", "openvox-agent", "puppet"),
    "salt": ("salt-minion", "salt-common", "salt"),
}
#: Programs to ask where no package tells it.
PROGRAMS = {
    "libvirt": ("libvirtd", "virtqemud"),
    "qemu": ("qemu-system-x86_64", "/usr/libexec/qemu-kvm"),
    "ceph": ("ceph",),
    "puppet": ("puppet", "/opt/puppetlabs/bin/puppet"),
    "salt": ("salt-call",),
}
#: Block devices that are no disks.
NO_DISKS = re.compile(r"(loop|ram|zram|dm-|md|sr|fd|nbd|rbd|drbd)\d")
#: How long a program may take to tell its version, in seconds; Salt's needs two.
TIMEOUT = 15

_cache: dict[tuple[str, str], tuple[Any, Any]] = {}


def facts() -> dict[str, Any]:
    """Return all facts: sizes in bytes, versions as text or ``None`` for what is not installed."""
    return {
        "cores": os.cpu_count(),
        "memory": meminfo().get("MemTotal"),
        "cpu_model": _cpu_model(),
        "os": _os(),
        "kernel": platform.release(),
        "disks": disks(),
        **versions(),
        "corral_host": __version__,
    }


def meminfo() -> dict[str, int]:
    """Return /proc/meminfo in bytes."""
    lines = _text("/proc/meminfo").splitlines()
    found = (re.match(r"(\w+):\s+(\d+) kB", line) for line in lines)
    return {one[1]: int(one[2]) * 1024 for one in found if one}


def disks(root: Path = Path("/sys/block")) -> list[dict[str, Any]]:
    """Return the host's own disks by name; size in bytes."""
    found = []
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        sectors = _text(path / "size")
        if NO_DISKS.match(path.name) or not sectors.isdigit() or sectors == "0":
            continue
        rotational = _text(path / "queue/rotational")
        found.append(
            {
                "name": path.name,
                "size": int(sectors) * 512,
                "rotational": rotational == "1" if rotational else None,
                "model": _text(path / "device/model") or None,
            }
        )
    return found


def versions() -> dict[str, str | None]:
    """Return the version of each part: its package's, or what its program says."""
    packages = _packages()
    found: dict[str, str | None] = {}
    for part, names in PACKAGES.items():
        package = next((packages[name] for name in names if name in packages), None)
        found[part] = package or _program(part)
    return found


def _packages() -> dict[str, str]:
    names = [name for group in PACKAGES.values() for name in group]
    for database, command in (
        (
            "/var/lib/dpkg/status",
            ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n"],
        ),
        ("/var/lib/rpm/rpmdb.sqlite", ["rpm", "-q", "--qf", "installed %{NAME} %{VERSION}\n"]),
    ):
        if Path(database).exists() and shutil.which(command[0]):
            return _cached(database, "packages", lambda command=command: _list(command, names))
    return {}


def _list(command: list[str], names: list[str]) -> dict[str, str]:
    rows = (line.split() for line in _output([*command, *names]).splitlines())
    wanted = [row for row in rows if len(row) == 3 and row[0] == "installed"]  # noqa: PLR2004
    return {name: upstream(version) for _, name, version in wanted}


def upstream(version: str) -> str:
    """Return a package's version without epoch and the distribution's additions.

    >>> upstream("1:7.2+dfsg-7+deb12u18")
    '7.2'
    """
    return re.split(r"[-+~]", version.partition(":")[2] or version)[0]


def _program(part: str) -> str | None:
    path = next(filter(None, (shutil.which(one) for one in PROGRAMS[part])), None)
    if path is None:
        return None
    command = [path, "--version"]
    return _cached(os.path.realpath(path), part, lambda: first_version(_output(command)))


def first_version(text: str) -> str | None:
    """Return the first thing in a text that looks like a version."""
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else None


def _cached(path: str, what: str, ask: Any) -> Any:  # noqa: ANN401
    stamp = Path(path).stat().st_mtime_ns
    known = _cache.get((path, what))
    if known is None or known[0] != stamp:
        known = _cache[(path, what)] = (stamp, ask())
    return known[1]


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")


def _cpu_model() -> str | None:
    text = _text("/proc/cpuinfo")
    found = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or None


def _os() -> str | None:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', _text("/etc/os-release"), re.MULTILINE)
    return found[1] if found else None


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
