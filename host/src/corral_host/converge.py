"""The command ``corral-converge``: root's part of a run, one at a time on a host."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corral_host import __version__
from corral_host.errors import HostError
from corral_host.files import now, write_json
from corral_host.hostd.config import PATH, Config
from corral_host.hostd.runs import BUSY, lock_file
from corral_host.observe import daemons

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: What each tool is started with, and the exit status that is a good run.
TOOLS: dict[str, tuple[tuple[str, ...], frozenset[int]]] = {
    "puppet": (
        (
            "puppet",
            "agent",
            "--onetime",
            "--no-daemonize",
            "--no-splay",
            "--verbose",
            "--detailed-exitcodes",
            "--color=false",
        ),
        frozenset({0, 2}),
    ),
    "salt": (("salt-call", "state.apply", "--retcode-passthrough", "--no-color"), frozenset({0})),
}
#: What a tool prints when another run of it is going on, of the tool's own daemon or of cron.
OTHERS = ("run of puppet configuration client already in progress", "is running as pid")
#: Where the tools are beside the PATH.
FOLDERS = "/opt/puppetlabs/bin:/opt/saltstack/salt"
#: Seconds between SIGTERM and SIGKILL for a tool that takes too long.
GRACE = 10

EXAMPLES = """examples:
  corral-converge                  run the tool of /etc/corral/hostd.conf now
  corral-converge --no-wait        the same, unless a run is going on

exit status: 0 after a good run, 1 after a bad one, 75 when a run of somebody else is going on
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the tool and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="corral-converge",
        description="Run Puppet or Salt once, and record how it went for corral-hostd.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"corral-converge {__version__}")
    parser.add_argument("--config", type=Path, default=PATH, help=f"settings (default: {PATH})")
    parser.add_argument("--no-wait", action="store_true", help="end when a run is going on already")
    asked = parser.parse_args(arguments)
    try:
        config = Config.load(asked.config)
    except HostError as error:
        # systemd would start this over and over for as long as the trigger is there.
        Config.trigger.unlink(missing_ok=True)
        print(f"corral-converge: {error.message}", file=sys.stderr)  # noqa: T201
        return 1
    try:
        return converge(config, wait=not asked.no_wait)
    except HostError as error:
        print(f"corral-converge: {error.message}", file=sys.stderr)  # noqa: T201
        return BUSY if error.code == "busy" else 1
    except OSError as error:
        print(f"corral-converge: {error}", file=sys.stderr)  # noqa: T201
        return 1


def converge(config: Config, *, wait: bool) -> int:
    """Run the tool under the host's lock and return the exit status of ``corral-converge``."""
    arguments, good = TOOLS[config.tool]
    state_dir = config.host.state_dir
    state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _locked(lock_file(config), config.timeout if wait else 2.0):
        # What asks for a run from here on wants another one.
        config.trigger.unlink(missing_ok=True)
        record: dict[str, Any] = {"tool": config.tool, "started_at": now()}
        _record(state_dir / "run.json", record)
        status, busy = _run([*arguments, *config.arguments], config.timeout)
        record.update(finished_at=now(), exit_code=status, ok=status in good, busy=busy)
        seen = daemons()
        if seen is not None:
            _record(state_dir / "ceph.json", seen)
        _record(state_dir / "run.json", record)
    if busy:
        return BUSY
    return 0 if record["ok"] else 1


def _record(path: Path, value: dict[str, Any]) -> None:
    """Write a record; a full disk does not keep the tool from running."""
    try:
        write_json(path, value)
    except OSError as error:
        print(f"corral-converge: {path}: {error.strerror}", file=sys.stderr)  # noqa: T201


@contextmanager
def _locked(path: Path, seconds: float) -> Iterator[None]:
    handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= end:
                    raise HostError("busy", f"a run is going on already ({path})") from None
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _run(command: Sequence[str], seconds: float) -> tuple[int, bool]:
    """Run the tool in a group of its own. Returns its status, and whether another run goes on."""
    environment = {**os.environ, "PATH": os.environ.get("PATH", os.defpath) + ":" + FOLDERS}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    except FileNotFoundError:
        print(f"corral-converge: {command[0]} is not installed", file=sys.stderr)  # noqa: T201
        return 127, False
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda number, _frame: _end(process, number))
    timer = threading.Timer(seconds, _too_long, (process, seconds))
    timer.daemon = True
    timer.start()
    busy = False
    try:
        for line in process.stdout or ():
            busy = busy or any(word in line.lower().decode(errors="replace") for word in OTHERS)
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        status = process.wait()
    finally:
        timer.cancel()
    return status, busy and status != 0


def _too_long(process: subprocess.Popen[bytes], seconds: float) -> None:
    print(f"corral-converge: ended after {seconds:g} s", file=sys.stderr, flush=True)  # noqa: T201
    _end(process, signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        _end(process, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


if __name__ == "__main__":
    sys.exit(main())
