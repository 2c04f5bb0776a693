"""The command ``corral-host``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from corral_host import __version__
from corral_host.engine import Engine
from corral_host.errors import HostError
from corral_host.kinds import KINDS
from corral_host.serve import serve
from corral_host.session import Session

if TYPE_CHECKING:
    from corral_host.kinds.base import Spec

EXAMPLES = """examples:
  corral-host list domain                      what is on this host, as JSON
  corral-host compare bridge < bridges.json    what differs from {"br-7-0": {"ensure": ...}}
  corral-host serve                            what Puppet and Salt talk to
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="corral-host",
        description="Compare this host with what Corral wants of it, and make it so.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"corral-host {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="answer requests on standard input, a line of JSON each")
    for name, text in (
        ("list", "print what is there"),
        ("compare", "print what differs from the specs on standard input"),
        ("apply", "make the host as the specs on standard input say"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("kind", choices=list(KINDS))
    asked = parser.parse_args(arguments)
    if asked.command == "serve":
        serve()
        return 0
    try:
        return _once(asked)
    except HostError as error:
        print(f"corral-host: {error.message}", file=sys.stderr)  # noqa: T201
        return 1


def _once(asked: argparse.Namespace) -> int:
    session = Session()
    engine = Engine(session)
    failed = False
    try:
        if asked.command == "list":
            result = engine.list(asked.kind)
        else:
            things = json.load(sys.stdin)
            if asked.command == "compare":
                result = engine.compare(asked.kind, things)
                failed = any(one["error"] for one in result.values())
            else:
                result = {name: _apply(engine, asked.kind, name, things[name]) for name in things}
                failed = any("error" in one for one in result.values())
    finally:
        session.close()
    json.dump(result, sys.stdout, indent=2)
    print()  # noqa: T201
    return 1 if failed else 0


def _apply(engine: Engine, kind: str, name: str, spec: Spec) -> dict[str, Any]:
    try:
        return engine.apply(kind, name, spec)
    except HostError as error:
        return {"error": {"code": error.code, "message": error.message}}


if __name__ == "__main__":
    sys.exit(main())
