"""Images into volumes, with ``qemu-img``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from corral_host.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

    from corral_host.session import Session

#: Seconds that copying an image may take.
COPYING = 4 * 3600
QCOW2_MAGIC = b"QFI\xfb"


def check_source(session: Session, path: Path, image: dict[str, Any], size: int) -> None:
    """Raise ``HostError`` for an image that is not what it should be, or not of this size.

    The format is the document's word, never guessed: a raw image could say it were something that
    has another file of this host below.
    """
    where = f"the image {image.get('name') or image['url']}"
    kind = image["type"]
    with path.open("rb") as file:
        qcow2 = file.read(4) == QCOW2_MAGIC
    if qcow2 != (kind == "qcow2"):
        is_one, says = ("qcow2", "raw") if qcow2 else ("no qcow2", "qcow2")
        raise HostError(
            "image_format", f"{where} is {is_one}, and the document says {says}: correct its type"
        )
    done = session.run(["qemu-img", "info", "--output=json", "-f", kind, str(path)])
    info = json.loads(done.stdout)
    data = info.get("format-specific", {}).get("data", {})
    if info.get("backing-filename") or data.get("data-file"):
        raise HostError("image_format", f"{where} needs another file: flatten it first")
    if info["virtual-size"] > size:
        raise HostError(
            "image_too_large",
            f"{where} needs {info['virtual-size']} bytes, and the volume has {size}: enlarge it",
        )


def copy_to_file(session: Session, image: Path, kind: str, target: Path, form: str) -> None:
    """Make a new file of an image; on disk for good when this returns."""
    compat = ["-o", "compat=1.1"] if form == "qcow2" else []
    command = ["qemu-img", "convert", "-t", "writeback", "-f", kind, "-O", form, *compat]
    session.run([*command, str(image), str(target)], timeout=COPYING)


def copy_onto(session: Session, image: Path, kind: str, target: str, *, zero: bool) -> None:
    """Copy an image onto a block device or RBD image; ``zero``: that reads as zeros so far."""
    empty = ["--target-is-zero"] if zero else []
    command = ["qemu-img", "convert", "-n", *empty, "-t", "writeback", "-f", kind, "-O", "raw"]
    session.run([*command, str(image), target], timeout=COPYING)


def resize_file(session: Session, path: str, form: str, size: int) -> None:
    """Enlarge a file that nobody has open: qemu-img refuses one that is."""
    session.run(["qemu-img", "resize", "-q", "-f", form, path, str(size)])
