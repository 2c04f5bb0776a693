"""Ceph's files on a host: where they are, and how they are read and written."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import time
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corral_host.session import Session

from corral_host.errors import HostError

#: Where Ceph's daemons keep their data; fixed by their packages.
LIB = Path("/var/lib/ceph")

#: First line of what Corral writes: only files that have it are removed.
MARK = "# Made by Corral; changes here are undone by the next run."


def digest(secret: str | None) -> str | None:
    """Return how a secret is shown."""
    if secret is None:
        return None
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()[:12]


def read_text(path: Path) -> str | None:
    """Return a small file's text, or ``None`` when there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_file(path: Path, text: str, mode: int, owner: str = "ceph") -> None:
    """Write a file at once or not at all; its folder is made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        staged.unlink()
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchown(descriptor, *ids_of(owner))
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    staged.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames in a folder last."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def ids_of(owner: str) -> tuple[int, int]:
    """Return user and group of ``owner``, e.g. ceph or root:ceph."""
    user, _, group = owner.partition(":")
    try:
        entry = pwd.getpwnam(user)
        return entry.pw_uid, pwd.getpwnam(group).pw_gid if group else entry.pw_gid
    except KeyError as error:
        raise HostError("no_program", "there is no user ceph: install ceph-common") from error


def own_folder(path: Path) -> None:
    """Make a folder of Ceph's daemons, or make it theirs."""
    owner = ids_of("ceph")
    for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        missing.mkdir(mode=0o750, exist_ok=True)
        os.chown(missing, *owner)
    if path.stat().st_uid != owner[0]:
        os.chown(path, *owner)


def set_aside(path: Path) -> None:
    """Rename a daemon's data: they are out of the way, and not lost."""
    if path.exists():
        path.rename(path.with_name(f"{path.name}.removed-{time.strftime('%Y%m%dT%H%M%S')}"))
        sync_folder(path.parent)


def parse_sections(text: str) -> dict[str, dict[str, str]]:
    """Read what Ceph calls an ini file, with names as Ceph compares them."""
    parser = ConfigParser(
        interpolation=None, strict=False, allow_no_value=True, delimiters=("=",), default_section=""
    )
    # A line that begins with white space continues nothing: keyrings are indented.
    lines = (re.split("[;#]", line)[0].strip() for line in text.splitlines())
    try:
        parser.read_string("\n".join(lines))
    except ConfigError:
        return {}
    return {
        section: {
            re.sub(r"[ -]+", "_", option): (value or "").strip()
            for option, value in parser[section].items()
        }
        for section in parser.sections()
    }


def keyring_path(session: Session, cluster: str, entity: str) -> Path:
    """Return where Ceph's own programs look for the key of an entity."""
    kind, _, name = entity.partition(".")
    if kind == "client" and name.startswith("bootstrap-"):
        return LIB / name / f"{cluster}.keyring"
    return session.settings.ceph_dir / f"{cluster}.{entity}.keyring"


def keyring_text(entity: str, secret: str, caps: dict[str, str] | None = None) -> str:
    """Return a keyring with one key; capabilities only matter to those who import it."""
    lines = [f"[{entity}]", f"\tkey = {secret}"]
    lines += [f'\tcaps {daemon} = "{may}"' for daemon, may in sorted((caps or {}).items())]
    return "\n".join(lines) + "\n"


def secret_in(path: Path, entity: str) -> str | None:
    """Return the key of an entity in a keyring, or ``None``."""
    return parse_sections(read_text(path) or "").get(entity, {}).get("key")


def config_path(session: Session, cluster: str) -> Path:
    """Return the cluster's configuration on this host."""
    return session.settings.ceph_dir / f"{cluster}.conf"


def clusters_here(session: Session) -> list[str]:
    """Return the clusters that this host has a configuration of."""
    return sorted(path.stem for path in session.settings.ceph_dir.glob("*.conf"))


def monitors_here(cluster: str) -> list[str]:
    """Return the names of the cluster's monitors that have data on this host."""
    prefix = f"{cluster}-"
    return sorted(
        path.name[len(prefix) :]
        for path in (LIB / "mon").glob(f"{prefix}*")
        if path.is_dir() and ".removed-" not in path.name
    )
