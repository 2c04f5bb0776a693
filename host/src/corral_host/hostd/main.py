"""The command ``corral-hostd``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from corral_host import __version__
from corral_host.errors import HostError
from corral_host.hostd.config import PATH, Config
from corral_host.hostd.daemon import Daemon

EXAMPLES = """examples:
  corral-hostd                              what corral-hostd.service runs
  corral-hostd --config ./hostd.conf        with other settings; host.conf is read from beside it
  corral-hostd --check                      read the settings and say what is wrong with them

exit status: 0 after SIGTERM, 1 for settings that are wrong
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="corral-hostd",
        description="Send heartbeats to Corral, and run Puppet or Salt when this host's document"
        " changes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"corral-hostd {__version__}")
    parser.add_argument("--config", type=Path, default=PATH, help=f"settings (default: {PATH})")
    parser.add_argument("--check", action="store_true", help="check the settings and end")
    asked = parser.parse_args(arguments)
    try:
        config = Config.load(asked.config)
    except HostError as error:
        print(f"corral-hostd: {error.message}", file=sys.stderr)  # noqa: T201
        return 1
    if asked.check:
        print(f"{asked.config} is well: {config.node} at {config.url}")  # noqa: T201
        return 0
    Daemon(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
