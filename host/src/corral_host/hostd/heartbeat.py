"""What a heartbeat says."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corral_host.facts import meminfo
from corral_host.files import read_json
from corral_host.kinds.document import boot_id, since_boot
from corral_host.observe import connect, observe, states

if TYPE_CHECKING:
    from corral_host.hostd.config import Config

#: Seconds after which an observation is sent again though nothing changed.
AGAIN = 300.0
#: Seconds after which it is looked at again though nothing seemed to happen.
LOOK = 60.0


class Heartbeat:
    """The body of each heartbeat, with an observation when there is something new in it."""

    def __init__(self, config: Config) -> None:
        """Nothing was sent yet."""
        self._config = config
        self._connection: Any = None
        self._observation: dict[str, Any] = {}
        self._looked: float | None = None
        self._sent: float | None = None
        self._sent_hash = ""
        self._hash = ""
        self._domains: dict[str, Any] | None = None

    def applied(self) -> str | None:
        """Return the version of the document that was applied since the host has booted."""
        record = read_json(self._config.host.state_dir / "applied.json")
        version = record.get("document")
        return version if isinstance(version, str) and since_boot(record) else None

    def look(self) -> None:
        """Make the next heartbeat look at everything again."""
        self._looked = None

    def body(self, run: dict[str, Any], now: float) -> dict[str, Any]:
        """Return the body. ``now`` is any clock that only goes forward."""
        domains = self._states()
        if domains != self._domains:
            self._domains = domains
            self.look()
        memory = meminfo()
        body = {
            "node": self._config.node,
            "boot_id": boot_id(),
            "uptime": int(float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])),
            "load": [round(one, 2) for one in os.getloadavg()],
            "memory": {
                "total": memory.get("MemTotal", 0),
                "free": memory.get("MemAvailable", memory.get("MemFree", 0)),
            },
            "document": self.applied(),
            "run": run,
        }
        if domains is not None:
            body["domains"] = domains
        if self._looked is None or now - self._looked >= LOOK:
            self._observation = observe(self._config.host)
            text = json.dumps(self._observation, sort_keys=True)
            self._hash = hashlib.sha256(text.encode()).hexdigest()
            self._looked = now
        if self._sent is None or now - self._sent >= AGAIN or self._hash != self._sent_hash:
            body["observation"] = self._observation
        body["disks"] = self._disks()
        return body

    def sent(self, body: dict[str, Any], now: float) -> None:
        """Take note that the API has taken this heartbeat."""
        if "observation" in body:
            self._sent, self._sent_hash = now, self._hash

    def resend(self) -> None:
        """Send the observation again with the next heartbeat."""
        self._sent = None

    def _states(self) -> dict[str, Any] | None:
        """Return the domains' states, over a connection that is kept."""
        for _ in range(2):
            if self._connection is None:
                self._connection = connect(self._config.host.libvirt_uri)
            if self._connection is None:
                return None
            try:
                return states(self._connection)
            except Exception:  # noqa: BLE001 - libvirt restarted: once more, on a new connection
                self._connection = None
        return None

    def _disks(self) -> dict[str, dict[str, int]]:
        """Return size and free space, by path, of the file systems that matter."""
        pools = self._observation.get("things", {}).get("pool", {}).values()
        targets = [one["detail"].get("target") for one in pools]
        paths = ["/", str(self._config.host.state_dir), *sorted(filter(None, targets))]
        found, seen = {}, set()
        for path in paths:
            try:
                device, size = Path(path).stat().st_dev, os.statvfs(path)
            except OSError:
                continue
            if device not in seen and size.f_blocks:
                seen.add(device)
                found[path] = {
                    "total": size.f_blocks * size.f_frsize,
                    "free": size.f_bavail * size.f_frsize,
                }
        return found
