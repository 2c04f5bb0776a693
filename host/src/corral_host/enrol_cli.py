"""``corral-host enrol`` and ``corral-host renew``."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from corral_host.enrol import Place, enrol, renew, wait
from corral_host.errors import HostError
from corral_host.session import Settings

if TYPE_CHECKING:
    import argparse


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both to the parser."""
    one = commands.add_parser("enrol", help="ask Corral to let this host in as its node")
    one.add_argument(
        "--url", required=True, help="the API's address, such as https://corral.example.net"
    )
    given = one.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--token", help="the enrolment token; others on this host may see it meanwhile"
    )
    given.add_argument("--token-file", metavar="FILE", help="a file with it, - for standard input")
    one.add_argument(
        "--node",
        default=socket.getfqdn().lower(),
        help="the node's name (default: this host's full name)",
    )
    one.add_argument(
        "--ca-file",
        metavar="FILE",
        help="certificates that the API's is checked with (default: the system's)",
    )
    one.add_argument(
        "--wait", metavar="SECONDS", type=float, default=0, help="how long to wait for an operator"
    )
    again = commands.add_parser(
        "renew", help="get a new node token when the one that is there is half over"
    )
    again.add_argument("--now", action="store_true", help="even when it is not")
    for command in (one, again):
        command.add_argument(
            "--node-token",
            metavar="FILE",
            type=Path,
            help="where the node token is put (default: /etc/corral/node.token)",
        )


def run(asked: argparse.Namespace) -> int:
    """Run one of them and return the exit status. Raises ``HostError``."""
    settings = Settings.load()
    place = Place.on(
        settings.etc_dir, settings.state_dir, asked.node_token and asked.node_token.resolve()
    )
    if asked.command == "renew":
        done = renew(place, force=asked.now)
        _say(
            {
                "pending": "waits to be approved",
                "kept": "the token is good for long enough",
                "renewed": "has a new token",
            }[done]
        )
        return 0
    ca_file = asked.ca_file and str(Path(asked.ca_file).resolve())
    answer = enrol(place, asked.url.rstrip("/"), _token(asked), asked.node.lower(), ca_file)
    _say(f"this host's key is {answer.get('fingerprint')}")
    done = wait(place, asked.wait)
    if done == "pending":
        _say(
            f"waits to be approved as {asked.node}: corral enrol approve {answer['id']}; "
            "corral-renew.timer then gets the token"
        )
    else:
        _say(f"is let in as {asked.node}; its token is in {place.token}")
    return 0


def _token(asked: argparse.Namespace) -> str:
    if asked.token is not None:
        return asked.token.strip()
    try:
        text = (
            sys.stdin.read()
            if asked.token_file == "-"  # noqa: S105
            else Path(asked.token_file).read_text(encoding="ascii")
        )
    except (OSError, ValueError) as error:
        raise HostError(
            "enrolment",
            f"{asked.token_file}: {getattr(error, 'strerror', None) or 'is not a token'}",
        ) from error
    return text.strip()


def _say(text: str) -> None:
    print(f"corral-host: {text}")  # noqa: T201
