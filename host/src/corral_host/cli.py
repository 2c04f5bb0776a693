"""The command ``corral-host``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from corral_host import __version__, enrol_cli, observe
from corral_host.engine import Engine
from corral_host.errors import BadSpec, HostError
from corral_host.kinds import KINDS
from corral_host.kinds.document import finish
from corral_host.serve import serve
from corral_host.session import Session, Settings

if TYPE_CHECKING:
    from corral_host.kinds.base import Spec

EXAMPLES = """examples:
  corral-host list domain                      what is on this host, as JSON
  corral-host check < things.json              what cannot be right in {kind: {name: spec}}
  corral-host compare bridge < bridges.json    what differs from {"br-7-0": {"ensure": ...}}
  corral-host apply bridge < bridges.json      make it so
  corral-host observe                          facts and things, as the heartbeat sends them
  corral-host serve                            what Puppet and Salt talk to
  corral-host enrol --url https://corral.example.net --token-file token
                                               ask to be let in as this host's node
  corral-host renew                            get a new node token when it is time

exit status: 0 when all is well, 1 when something is wrong or could not be done, 2 for a usage error
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
    commands.add_parser("observe", help="print facts and things; needs no rights")
    commands.add_parser("check", help="check the specs on standard input, by kind and name")
    for name, text in (
        ("list", "print what is there"),
        ("compare", "print what differs from the specs on standard input"),
        ("apply", "make the host as the specs on standard input say"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("kind", choices=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    enrol_cli.add_commands(commands)
    asked = parser.parse_args(arguments)
    if asked.command == "serve":
        serve()
        return 0
    try:
        if asked.command in ("enrol", "renew"):
            return enrol_cli.run(asked)
        result, failed = _once(asked)
    except HostError as error:
        print(f"corral-host: {error.message}", file=sys.stderr)  # noqa: T201
        return 1
    json.dump(result, sys.stdout, indent=2)
    print()  # noqa: T201
    return 1 if failed else 0


def _once(asked: argparse.Namespace) -> tuple[Any, bool]:
    """Return what to print, and whether something in it is wrong."""
    if asked.command == "observe":
        return observe.observe(Settings.load()), False
    things = None if asked.command == "list" else _things(nested=asked.command == "check")
    session = Session()
    engine = Engine(session)
    try:
        if things is None:
            return engine.list(asked.kind), False
        if asked.command == "check":
            wrong = engine.check(things)
            return wrong, bool(wrong)
        if asked.command == "compare":
            compared = engine.compare(asked.kind, things)
            return compared, any(one["error"] or one["refused"] for one in compared.values())
        applied = {name: _apply(engine, asked.kind, name, spec) for name, spec in things.items()}
        finish(engine.kind("document"))
        return applied, any("error" in one for one in applied.values())
    finally:
        session.close()


def _things(*, nested: bool) -> dict[str, Any]:
    """Read the specs. Raises ``BadSpec`` that says where they are wrong."""
    try:
        things = json.load(sys.stdin)
    except ValueError as error:
        raise BadSpec(f"standard input is not JSON: {error}") from error
    wanted = '{"kind": {"name": {spec}}}' if nested else '{"name": {spec}}'
    values = things.values() if isinstance(things, dict) else None
    if values is None or (nested and not all(isinstance(one, dict) for one in values)):
        raise BadSpec(f"standard input must be {wanted}")
    return things


def _apply(engine: Engine, kind: str, name: str, spec: Spec) -> dict[str, Any]:
    try:
        return engine.apply(kind, name, spec)
    except HostError as error:
        return {"error": {"code": error.code, "message": error.message}}


if __name__ == "__main__":
    sys.exit(main())
