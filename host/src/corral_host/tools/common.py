"""What vmctl, vmexec and volctl share: finding things, refusing what Corral owns, printing."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, Callable
from xml.etree import ElementTree as ET

from corral_host import __version__
from corral_host.errors import HostError
from corral_host.hostd.config import PATH, Config
from corral_host.observe import NAMESPACE
from corral_host.session import Session, Settings

#: Exit statuses, by the code of the error; anything else is 1.
STATUS = {"bad_usage": 2, "owned": 3, "not_found": 4, "timeout": 5}
STATUSES = """exit status: 0 done, 1 failed, 2 usage, 3 refused because Corral decides it,
  4 no such thing on this host, 5 not in time"""

#: libvirt's codes for "no such domain" and "that is no uuid".
NO_DOMAIN = (42, 8)

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Host:
    """One command's view of the host that it runs on."""

    def __init__(self, config: Path) -> None:
        """Read the settings; the API's address is only for messages and may be missing."""
        try:
            loaded = Config.load(config)
            self.url: str = loaded.url
            settings = loaded.host
        except HostError:
            self.url = "https://CORRAL"
            settings = Settings.load(config.parent / "host.conf")
        self.session = Session(settings)

    @property
    def libvirt(self) -> Any:  # noqa: ANN401
        """The connection to libvirt. Raises ``HostError``."""
        return self.session.libvirt()

    def domain(self, name: str) -> Any:  # noqa: ANN401
        """Return a domain by name, by Corral's number or by uuid."""
        import libvirt  # noqa: PLC0415

        names = [name, f"vm-{name}"] if name.isdigit() else [name]
        for look_up, one in [(self.libvirt.lookupByName, one) for one in names] + [
            (self.libvirt.lookupByUUIDString, name)
        ]:
            try:
                return look_up(one)
            except libvirt.libvirtError as error:  # noqa: PERF203 - three at most
                if error.get_error_code() not in NO_DOMAIN:
                    raise
        raise HostError("not_found", f"there is no virtual machine {name} on this host")

    def patch(self, noun: str, number: str | None, body: dict[str, Any]) -> str:
        """Return the command that asks Corral for a change."""
        return (
            'curl -X PATCH -H "Authorization: Bearer $CORRAL_TOKEN"'
            f" -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
            f" {self.url}/api/v1/{noun}/{number or 'ID'}"
        )


def corral_id(domain: Any) -> str | None:  # noqa: ANN401
    """Return Corral's number of a domain that Corral made, or ``None``."""
    import libvirt  # noqa: PLC0415

    try:
        text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
    except libvirt.libvirtError:
        return None
    return ET.fromstring(text).get("id") or domain.name().partition("-")[2]  # noqa: S314 - libvirt's


def owned(what: str, instead: str) -> HostError:
    """Return the refusal of something that the source of truth decides."""
    return HostError(
        "owned", f"{what} belongs to Corral, which decides this. Instead:\n  {instead}"
    )


def size(text: str) -> int:
    """Return bytes: ``20G`` is 20 GiB. For argparse."""
    found = re.fullmatch(r"(\d+)([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 20G, 512M or bytes")
    return int(found[1]) * UNITS[found[2].upper()]


def human(number: float | None) -> str:
    """Return bytes for people, in powers of 1024."""
    if number is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:  # noqa: PLR2004
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} TiB"


def table(rows: list[list[str]]) -> str:
    """Return rows, the first of which is the header, in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows
    )


def say(text: str) -> None:
    """Print a line for people on standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


class Command:
    """A program with sub-commands, each a function of the host and its arguments."""

    def __init__(self, name: str, description: str, examples: str) -> None:
        """Every program has --version, --config and, on each sub-command, --json."""
        self.name = name
        self.parser = argparse.ArgumentParser(
            prog=name,
            description=description,
            epilog=f"{examples}\n{STATUSES}\n",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.parser.add_argument("--version", action="version", version=f"{name} {__version__}")
        self.parser.add_argument(
            "--config", type=Path, default=PATH, help="settings; host.conf is read from beside it"
        )
        self._commands = self.parser.add_subparsers(
            dest="command", required=True, metavar="COMMAND"
        )

    def add(self, name: str, function: Callable[..., Any], text: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Add a sub-command. ``arguments`` are names, or names with the options of argparse.

        The function returns what to print: data, with the text for people, or nothing.
        """
        parser = self._commands.add_parser(name, help=text, description=text)
        parser.add_argument("--json", action="store_true", help="print JSON")
        for one in arguments:
            words, options = one if isinstance(one, tuple) else (one, {})
            parser.add_argument(*words.split(), **options)
        parser.set_defaults(function=function)
        return parser

    def run(self, arguments: list[str] | None) -> int:
        """Run a sub-command and return the exit status."""
        asked = self.parser.parse_args(arguments)
        try:
            host = Host(asked.config)
            try:
                status, data, text = asked.function(host, asked)
            finally:
                host.session.close()
        except HostError as error:
            return self._failed(asked, error.code, error.message)
        except BrokenPipeError:
            return 1
        except KeyboardInterrupt:
            return 130
        except Exception as error:
            if type(error).__name__ != "libvirtError":
                raise
            return self._failed(asked, "libvirt", str(error))
        if asked.json:
            print(json.dumps(data, indent=2))  # noqa: T201
        elif text:
            print(text)  # noqa: T201
        return status

    def _failed(self, asked: argparse.Namespace, code: str, message: str) -> int:
        if asked.json:
            print(json.dumps({"error": {"code": code, "message": message}}, indent=2))  # noqa: T201
        else:
            say(f"{self.name}: {message}")
        return STATUS.get(code, 1)
