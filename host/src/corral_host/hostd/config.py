"""The settings of corral-hostd and corral-converge: ``[hostd]`` in ``/etc/corral/hostd.conf``."""

from __future__ import annotations

import shlex
import socket
from configparser import ConfigParser, Error
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable
from urllib.parse import urlsplit

from corral_host.errors import HostError
from corral_host.session import Settings

#: Where the settings are, unless a command is told otherwise.
PATH = Path("/etc/corral/hostd.conf")


@dataclass(frozen=True)
class Config:
    """What the file says, with the defaults."""

    #: The API's address, such as ``https://corral.example.net``.
    url: str
    #: The node's name in Corral, and its certname or minion id.
    node: str
    #: A file with the node's token, and nothing else.
    token_file: Path = Path("/etc/corral/node.token")
    #: Certificates that the API's is checked with, in PEM; the system's without it.
    ca_file: Path | None = None
    #: puppet or salt.
    tool: str = "puppet"
    #: More arguments for the tool.
    arguments: tuple[str, ...] = ()
    #: Seconds between heartbeats, until the API says otherwise.
    interval: float = 10
    #: trigger (systemd starts corral-converge) or command (corral-hostd does).
    start: str = "trigger"
    #: With ``start=command``: what to start; 0 is good, 75 is "somebody else's run goes on".
    command: tuple[str, ...] = ("corral-converge",)
    #: With ``start=trigger``: the file that systemd watches.
    trigger: Path = Path("/run/corral-hostd/converge")
    #: Seconds that a run may take.
    timeout: float = 3600
    #: ``[host]`` of the host.conf beside this file.
    host: Settings = field(default_factory=Settings)

    @classmethod
    def load(cls, path: Path = PATH) -> Config:
        """Read the file. Raises ``HostError`` that says what to do."""
        parser = ConfigParser(interpolation=None)
        try:
            with path.open(encoding="utf-8") as file:
                parser.read_file(file)
        except OSError as error:
            raise _bad(
                f"{path}: {error.strerror}; it needs [hostd] with url = https://..."
            ) from error
        except Error as error:
            raise _bad(f"{path}: {str(error).splitlines()[0]}") from error
        section = dict(parser["hostd"]) if parser.has_section("hostd") else {}
        unknown = sorted(set(section) - set(READERS))
        if unknown:
            raise _bad(f"{path}: unknown setting {unknown[0]}; there are {', '.join(READERS)}")
        values = {"node": socket.getfqdn().lower()}
        for name, text in section.items():
            try:
                values[name] = READERS[name](text.strip())
            except ValueError as error:  # noqa: PERF203 - a dozen settings
                raise _bad(f"{path}: {name} = {text}: {error}") from error
        if "url" not in values:
            raise _bad(f"{path}: set url to the API's address, such as https://corral.example.net")
        return cls(**values, host=Settings.load(path.parent / "host.conf"))


def _bad(message: str) -> HostError:
    return HostError("bad_settings", message)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ValueError("must be an address that starts with https:// or http://")
    return text.rstrip("/")


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be {' or '.join(words)}")
        return text

    return read


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 86400:  # noqa: PLR2004
        raise ValueError("must be seconds from 0.1 to 86400")
    return value


def _name(text: str) -> str:
    if not text or "/" in text:
        raise ValueError("must be the node's full name, such as hv1.example.net")
    return text.lower()


def _words(text: str) -> tuple[str, ...]:
    return tuple(shlex.split(text))


#: What turns the text of each setting into its value; ``ValueError`` says what it must be.
READERS: dict[str, Callable[[str], object]] = {
    "url": _url,
    "node": _name,
    "token_file": Path,
    "ca_file": Path,
    "tool": _one_of("puppet", "salt"),
    "arguments": _words,
    "interval": _seconds,
    "start": _one_of("trigger", "command"),
    "command": _words,
    "trigger": Path,
    "timeout": _seconds,
}
