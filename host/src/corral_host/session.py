"""One visit to the host: its settings, one libvirt connection, programs, caches."""

from __future__ import annotations

import subprocess
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corral_host.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: How long a program may take, in seconds, unless its caller knows better.
TIMEOUT = 120


@dataclass(frozen=True)
class Settings:
    """Where things are on this host; ``[host]`` in ``/etc/corral/host.conf``."""

    #: libvirt's address for virtual machines.
    libvirt_uri: str = "qemu:///system"
    #: What Corral knows of this host and what it applied.
    state_dir: Path = Path("/var/lib/corral")
    #: Corral's own settings on this host.
    etc_dir: Path = Path("/etc/corral")
    #: Ceph's configuration and keyrings.
    ceph_dir: Path = Path("/etc/ceph")
    #: How long a guest may take to shut down before its power is cut, in seconds.
    shutdown_timeout: float = 60

    @classmethod
    def load(cls, path: Path = Path("/etc/corral/host.conf")) -> Settings:
        """Read the file if it is there. An unknown setting is an error that names it."""
        parser = ConfigParser(interpolation=None)
        try:
            with path.open(encoding="utf-8") as file:
                parser.read_file(file)
        except FileNotFoundError:
            return cls()
        section = dict(parser["host"]) if parser.has_section("host") else {}
        unknown = sorted(set(section) - set(cls.__dataclass_fields__))
        if unknown:
            raise HostError("bad_settings", f"{path}: unknown setting {unknown[0]} in [host]")
        kinds = {"libvirt_uri": str, "shutdown_timeout": float}
        try:
            return cls(**{key: kinds.get(key, Path)(text) for key, text in section.items()})
        except ValueError as error:
            raise HostError("bad_settings", f"{path}: {error}") from error


class Session:
    """Everything that kinds need of the host. Close it when done."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Open nothing yet: a connection is made when the first kind asks for it."""
        self.settings = settings or Settings.load()
        self._connections: dict[str, Any] = {}
        #: What waits for a restart, by kind and name, as compare found it in this session.
        self.pending: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._shared: dict[str, Any] = {}

    def shared(self, name: str, make: Callable[[Session], Any]) -> Any:  # noqa: ANN401
        """Return what several kinds share, such as connections; it is closed with the session."""
        if name not in self._shared:
            self._shared[name] = make(self)
        return self._shared[name]

    def libvirt(self, uri: str | None = None) -> Any:  # noqa: ANN401
        """Return the one connection to libvirt. Raises ``HostError`` when it does not answer."""
        uri = uri or self.settings.libvirt_uri
        connection = self._connections.get(uri)
        if connection is not None and connection.isAlive():
            return connection
        try:
            import libvirt  # noqa: PLC0415 - hosts without hypervisor role have none
        except ImportError as error:
            raise HostError("no_libvirt", "python3-libvirt is not installed") from error

        # Errors come as exceptions; libvirt would print them too.
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        try:
            connection = libvirt.open(uri)
        except libvirt.libvirtError as error:
            raise HostError("no_libvirt", f"libvirt does not answer at {uri}: {error}") from error
        self._connections[uri] = connection
        return connection

    def run(
        self,
        command: Sequence[str],
        *,
        input: bytes | None = None,  # noqa: A002
        timeout: float = TIMEOUT,
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program without a shell. Raises ``HostError`` with its last words."""
        try:
            done = subprocess.run(
                list(command), input=input, capture_output=True, timeout=timeout, check=False
            )
        except FileNotFoundError as error:
            raise HostError("no_program", f"{command[0]} is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise HostError(
                "program_timeout", f"{command[0]} did not end within {timeout:g} s"
            ) from error
        if check and done.returncode != 0:
            words = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise HostError(
                "program_failed", f"{command[0]} ended with {done.returncode}: {words[-1000:]}"
            )
        return done

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        for one in self._shared.values():
            one.close()
        self._shared.clear()
