"""Starting a run, and seeing how it goes."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Callable

from corral_host.files import now, read_json

if TYPE_CHECKING:
    from pathlib import Path

    from corral_host.hostd.config import Config

#: Exit status of corral-converge for "somebody else's run goes on": EX_TEMPFAIL.
BUSY = 75
#: Seconds after which a trigger should have been taken by systemd.
UNTAKEN = 30.0
#: Seconds after which a run that was taken, but left no record, counts as a bad one.
LOST = 10.0


class Runs:
    """The one run that this daemon started, and the record of the last that anyone did."""

    def __init__(self, config: Config, ended: Callable[[], None]) -> None:
        """Call ``ended``, in a thread of its own, when a command that was started ends."""
        self._config = config
        self._ended = ended
        self._command: subprocess.Popen[bytes] | None = None
        self._asked: float | None = None
        self._own: dict[str, Any] = {}
        self._warned = False
        self._taken: float | None = None

    @property
    def waiting(self) -> bool:
        """Whether a run was started that has not ended."""
        return self._asked is not None

    def start(self, clock: float) -> None:
        """Start a run. Raises ``OSError`` when it cannot be started."""
        self._own = {"tool": self._config.tool, "started_at": now()}
        if self._config.start == "command":
            self._command = subprocess.Popen(
                self._config.command, stdin=subprocess.DEVNULL, start_new_session=True
            )
            threading.Thread(target=self._wait, args=(self._command,), daemon=True).start()
        else:
            self._config.trigger.touch()
        self._asked, self._warned, self._taken = clock, False, None

    def _wait(self, command: subprocess.Popen[bytes]) -> None:
        command.wait()
        self._ended()

    def late(self, clock: float) -> str | None:
        """Return, once, what is wrong when nobody takes the trigger."""
        if self._asked is None or self._command is not None or self._warned:
            return None
        if clock - self._asked < UNTAKEN or not self._config.trigger.exists() or self.running():
            return None
        self._warned = True
        return (
            f"nobody took {self._config.trigger}: `systemctl enable --now corral-converge.path`,"
            " or set start = command"
        )

    def poll(self, clock: float) -> dict[str, Any] | None:
        """Return the record of the run that was started, when it has ended."""
        if self._asked is None:
            return None
        record = read_json(self._record)
        # Both times come from this machine's clock.
        ours = record.get("started_at", "") >= self._own["started_at"]
        if self._command is not None:
            status = self._command.poll()
            if status is None:
                return None
            if not ours or record.get("finished_at") is None:
                good = status == 0
                record = {**self._own, "finished_at": now(), "exit_code": status, "ok": good}
            record = {**record, "busy": status == BUSY or bool(record.get("busy"))}
            self._command = None
        elif self._config.trigger.exists() or self.running():
            self._taken = None
            return None
        elif not ours or record.get("finished_at") is None:
            # It is about to begin or to end; or it was killed, or could not write its record.
            self._taken = clock if self._taken is None else self._taken
            if clock - self._taken < LOST:
                return None
            record = {**self._own, "finished_at": now(), "exit_code": None, "ok": False}
        self._asked = None
        self._own = record
        return record

    def report(self) -> dict[str, Any]:
        """Return what the heartbeat says of runs."""
        record = read_json(self._record)
        started = record.get("started_at", "")
        if self._own.get("started_at", "") > started:
            record = self._own
        running = (self._command is not None) or (
            record.get("finished_at") is None and self.running()
        )
        keys = ("tool", "started_at", "finished_at", "exit_code")
        return {"running": running, **{k: record[k] for k in keys if record.get(k) is not None}}

    @property
    def _record(self) -> Path:
        return self._config.host.state_dir / "run.json"

    def running(self) -> bool:
        """Return whether a corral-converge holds the lock now."""
        return locked(lock_file(self._config))


def lock_file(config: Config) -> Path:
    """Return the file whose lock a run holds."""
    return config.host.state_dir / "converge.lock"


def locked(path: Path) -> bool:
    """Return whether somebody holds the lock of a file. It is taken for a moment to find out."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
