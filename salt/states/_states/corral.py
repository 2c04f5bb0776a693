"""Write and remove files exactly as Corral describes them.

``file.managed`` is no good for that: it ends every line its own way, takes U+2028 for a line
ending, and shows the difference, which may hold secrets, in the job's result.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path


def file(name: str, contents: str, mode: str = "0600") -> dict:
    """Make ``name`` a file with these ``contents``, byte for byte (UTF-8), and this ``mode``.

    It is replaced as a whole, and never open to more readers than ``mode`` says. Changes tell
    lengths and digests, not contents. The folder has to be there.
    """
    wanted = contents.encode()
    try:
        found = _read(name)
        changes = {}
        if found is None or found[0] != wanted:
            changes["contents"] = {"old": found and _digest(found[0]), "new": _digest(wanted)}
        if found is None or found[1] != int(mode, 8):
            changes["mode"] = {"old": found and f"{found[1]:04o}", "new": mode}
        if not changes:
            return _result(name, result=True, comment="The file is as it should be")
        if __opts__["test"]:
            return _result(name, result=None, comment="The file would be written", changes=changes)
        _replace(name, wanted, int(mode, 8))
    except OSError as error:
        return _result(name, result=False, comment=f"Cannot write: {error}")
    return _result(name, result=True, comment="The file was written", changes=changes)


def file_absent(name: str) -> dict:
    """Remove the one file ``name``. Anything there that is not a file is left, and is an error."""
    try:
        if not os.path.lexists(name):
            return _result(name, result=True, comment="There is no such file")
        if Path(name).is_dir() and not Path(name).is_symlink():
            return _result(name, result=False, comment="This is a folder, and is left alone")
        changes = {"removed": name}
        if __opts__["test"]:
            return _result(name, result=None, comment="The file would be removed", changes=changes)
        Path(name).unlink()
    except OSError as error:
        return _result(name, result=False, comment=f"Cannot remove: {error}")
    return _result(name, result=True, comment="The file was removed", changes=changes)


def _result(name: str, *, result: bool | None, comment: str, changes: dict | None = None) -> dict:
    return {"name": name, "result": result, "comment": comment, "changes": changes or {}}


def _read(name: str) -> tuple | None:
    """Return the bytes and the mode, or None when there is no regular file."""
    try:
        status = os.lstat(name)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Path(name).read_bytes(), stat.S_IMODE(status.st_mode)


def _replace(name: str, contents: bytes, mode: int) -> None:
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=Path(name).parent)
    try:
        with os.fdopen(handle, "wb") as new:
            new.write(contents)
            new.flush()
            os.fchmod(new.fileno(), mode)
            os.fsync(new.fileno())
        os.replace(temporary, name)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _digest(contents: bytes) -> str:
    return f"{len(contents)} bytes, sha256 {hashlib.sha256(contents).hexdigest()[:16]}"
