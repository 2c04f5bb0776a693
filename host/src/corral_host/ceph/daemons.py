"""Daemons of Ceph: systemd's units where systemd runs, otherwise the programs themselves.

The second is how containers do it, and network namespaces in tests: nothing starts the daemons
again then but the next run.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from corral_host.ceph import files
from corral_host.errors import HostError

if TYPE_CHECKING:
    from corral_host.session import Session

#: Where their admin sockets are.
RUN = Path("/run/ceph")
#: Seconds in which a daemon answers there.
ASK_TIMEOUT = 10
#: There only when systemd is the one who starts things.
SYSTEMD = Path("/run/systemd/system")
#: Seconds that a daemon may take to write what it holds before it ends.
STOP_TIMEOUT = 60


@dataclass(frozen=True)
class Daemon:
    """One daemon: ``mon.a``, ``mgr.a`` or ``osd.3`` of a cluster."""

    cluster: str
    kind: str
    id: str

    @property
    def unit(self) -> str:
        """Return the name of its unit."""
        return f"ceph-{self.kind}@{self.id}.service"

    @property
    def name(self) -> str:
        """Return the name that Ceph gives it."""
        return f"{self.kind}.{self.id}"

    def pid(self) -> int | None:
        """Return the process that listens on its admin socket, whoever started it."""
        with socket.socket(socket.AF_UNIX) as asked, suppress(OSError):
            asked.settimeout(ASK_TIMEOUT)
            asked.connect(str(socket_path(self.cluster, self.name)))
            raw = asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return struct.unpack("3i", raw)[0]
        return None


class Services:
    """Start and stop daemons, now and at boot."""

    def __init__(self, session: Session) -> None:
        """Look whether systemd runs."""
        self.session = session
        self.systemd = SYSTEMD.is_dir()

    def state(self, daemon: Daemon) -> str:
        """Return running, stopped, or ``running, not at boot``."""
        if not self.systemd:
            return "stopped" if daemon.pid() is None else "running"
        if not self._asks("is-active", daemon):
            return "stopped"
        return "running" if self._asks("is-enabled", daemon) else "running, not at boot"

    def _asks(self, question: str, daemon: Daemon) -> bool:
        done = self.session.run(["systemctl", question, "--quiet", daemon.unit], check=False)
        return done.returncode == 0

    def start(self, daemon: Daemon) -> None:
        """Start it, now and at boot. Raises ``HostError`` with its last words."""
        if self.systemd:
            self._name_cluster(daemon)
            self.session.run(["systemctl", "reset-failed", daemon.unit], check=False)
            self.session.run(["systemctl", "enable", "--now", daemon.unit])
            return
        files.own_folder(RUN)
        files.own_folder(Path("/var/log/ceph"))
        program = [f"ceph-{daemon.kind}", "--cluster", daemon.cluster, "--id", daemon.id]
        # It goes to the background when it is ready, away from our input and output.
        self.session.run([*program, "--setuser", "ceph", "--setgroup", "ceph"], timeout=60)
        if not wait_for(daemon.pid, 10):
            raise HostError("not_started", f"{daemon.name} ended: see /var/log/ceph")

    def _name_cluster(self, daemon: Daemon) -> None:
        # Ceph's units are for a cluster named ceph unless they are told.
        path = Path(f"/etc/systemd/system/{daemon.unit}.d/corral.conf")
        if daemon.cluster == "ceph" or path.exists():
            return
        files.write_file(path, f"[Service]\nEnvironment=CLUSTER={daemon.cluster}\n", 0o644, "root")
        self.session.run(["systemctl", "daemon-reload"])

    def stop(self, daemon: Daemon) -> None:
        """Stop it, now and at boot. Raises ``HostError`` when it does not end."""
        if self.systemd:
            self.session.run(["systemctl", "disable", "--now", daemon.unit])
            return
        pid = daemon.pid()
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        if not wait_for(lambda: daemon.pid() is None and not _lives(pid), STOP_TIMEOUT):
            raise HostError("not_stopped", f"{daemon.name} did not end within {STOP_TIMEOUT} s")


def _lives(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ask_daemon(cluster: str, daemon: str, command: str) -> Any:  # noqa: ANN401
    """Ask a daemon such as ``mon.a`` on its admin socket; ``None`` when it does not run.

    It answers without a quorum too.
    """
    request = json.dumps({"prefix": command, "format": "json"}).encode() + b"\0"
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(ASK_TIMEOUT)
        try:
            asked.connect(str(socket_path(cluster, daemon)))
            asked.sendall(request)
            stream = asked.makefile("rb")
            size = struct.unpack(">I", stream.read(4))[0]
            return json.loads(stream.read(size))
        except (OSError, struct.error, ValueError):
            return None


def socket_path(cluster: str, daemon: str) -> Path:
    """Return a daemon's admin socket."""
    return RUN / f"{cluster}-{daemon}.asok"


def wait_for(what: Callable[[], Any], seconds: float, every: float = 0.2) -> Any:  # noqa: ANN401
    """Return the first true answer, or the last one after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        answer = what()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(every)
