"""The cloud-init seed of a domain: a NoCloud ISO image.

https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corral_host.domain_record import digest
from corral_host.errors import BadSpec, HostError

if TYPE_CHECKING:
    from corral_host.kinds.base import Spec
    from corral_host.session import Session

#: Programs that write ISO images, with the same arguments, and the package of the first.
PROGRAMS = (("xorriso", "-as", "mkisofs"), ("genisoimage",), ("mkisofs",))

HEADER = "#cloud-config\n"


def seed_files(name: str, spec: Spec, title: str | None) -> dict[str, str] | None:
    """Return the seed's files by name, or nothing for a domain that has none.

    ``cloud_init`` may hold ``user_data``, ``vendor_data`` and ``network_config``, each a text or a
    mapping, and the mapping ``meta_data``; mappings are written as JSON, which is YAML. Other keys
    are left out. The instance is the domain's uuid, the host name that of the VM where it can be.
    Raises ``BadSpec``.
    """
    data = spec.get("cloud_init")
    if data is None:
        return None
    if not isinstance(data, dict):
        raise BadSpec(f"domain {name}: cloud_init must be a mapping")
    if not isinstance(spec.get("cloud_init_seed"), str) or not spec["cloud_init_seed"].startswith(
        "/"
    ):
        raise BadSpec(f"domain {name}: cloud_init_seed must be an absolute path")
    meta = data.get("meta_data") or {}
    if not isinstance(meta, dict):
        raise BadSpec(f"domain {name}: cloud_init meta_data must be a mapping")
    host = title if title and re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62})", title) else name
    files = {
        "meta-data": _json({"instance-id": spec["uuid"], "local-hostname": host, **meta}),
        "user-data": _text(name, "user_data", data.get("user_data", {}), HEADER),
    }
    for key, file, header in (
        ("vendor_data", "vendor-data", HEADER),
        ("network_config", "network-config", ""),
    ):
        if data.get(key) is not None:
            files[file] = _text(name, key, data[key], header)
    return files


def _json(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def _text(name: str, key: str, value: Any, header: str) -> str:  # noqa: ANN401
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, dict):
        return header + _json(value or {})
    raise BadSpec(f"domain {name}: cloud_init {key} must be a text or a mapping")


def seed_digest(files: dict[str, str]) -> str:
    """Return what tells one seed's contents from another's."""
    return digest(_json(files))


def seed_state(record: dict[str, Any], path: str) -> str | None:
    """Return the digest of the seed that is there; nothing when Corral has made none there."""
    if record.get("path") != path:
        return None
    return record.get("digest") if _stat(path) == record.get("stat") else "changed by hand"


def _stat(path: str) -> list[int] | None:
    try:
        there = Path(path).stat()
    except OSError:
        return None
    return [there.st_size, there.st_mtime_ns]


def write_seed(session: Session, path: str, files: dict[str, str]) -> dict[str, Any]:
    """Make the image, whole or not at all. Returns what ``seed_state`` wants to know of it.

    Raises ``HostError`` when no program can make one, or the folder cannot be written.
    """
    program = next((one for one in PROGRAMS if shutil.which(one[0])), None)
    if program is None:
        raise HostError(
            "no_program",
            "no program makes ISO images for cloud-init: install xorriso (or genisoimage)",
        )
    target = Path(path)
    try:
        # QEMU's user passes through, and sees no other seed: libvirt gives it the one it needs.
        target.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        folder = target.parent / f".{target.name}.new"
        # What a run that was killed has left.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        image = folder / "seed.iso"
        sources = [str(folder / file) for file in sorted(files)]
        session.run([*program, "-quiet", "-V", "cidata", "-J", "-r", "-o", str(image), *sources])
        image.chmod(0o600)
        image.replace(target)
        shutil.rmtree(folder)
    except OSError as error:
        raise HostError("seed_failed", f"cannot write the seed {path}: {error}") from error
    return {"path": path, "digest": seed_digest(files), "stat": _stat(path)}


def drop_seed(record: dict[str, Any]) -> None:
    """Remove the seed that ``write_seed`` told of, if there is one."""
    if isinstance(record.get("path"), str):
        Path(record["path"]).unlink(missing_ok=True)
