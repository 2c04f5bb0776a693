"""The daemon's loop: heartbeats when they are due, runs when they are needed."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from corral_host.hostd.api import Api, ApiError
from corral_host.hostd.heartbeat import Heartbeat
from corral_host.hostd.plan import Plan, backoff
from corral_host.hostd.runs import Runs
from corral_host.hostd.watch import Domains, Events

if TYPE_CHECKING:
    from corral_host.hostd.config import Config

#: Seconds between looks at a run that was started by a trigger.
GLANCE = 0.1
#: Seconds between looks otherwise: at the applied version, and for systemd's watchdog.
IDLE = 1.0
#: Seconds between heartbeats that the API may ask for.
SHORTEST, LONGEST = 1.0, 3600.0
#: Seconds in which events of domains are gathered into one heartbeat.
GATHER = 0.05


class Daemon:
    """All that runs in one corral-hostd."""

    def __init__(self, config: Config) -> None:
        """Open nothing yet."""
        self._config = config
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._stopping = False
        self._plan = Plan()
        self._runs = Runs(config, self._wake.set)
        self._heartbeat = Heartbeat(config)
        self._api = Api(config)
        self._events = Events(config, self._served, self._said)
        self._interval = config.interval
        self._next = 0.0
        self._failures = 0
        self._troubles: dict[str, str] = {}
        self._started_for: str | None = None
        self._chance = random.SystemRandom()

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, self._stop)
        log(f"watches {self._config.url} for {self._config.node}")
        self._events.start()
        Domains(self._config.host.libvirt_uri, self._soon).start()
        notify("READY=1")
        while not self._stopping:
            notify("WATCHDOG=1")
            self._step()
            self._wake.wait(self._pause())
            self._wake.clear()
        notify("STOPPING=1")
        self._events.stop()
        self._events.join(2)
        self._api.close()

    def _stop(self, _signal: int, _frame: object) -> None:
        self._stopping = True
        self._wake.set()

    def _soon(self) -> None:
        """Send a heartbeat at once: something happened."""
        with self._lock:
            self._heartbeat.look()
            self._next = min(self._next, time.monotonic() + GATHER)
        self._wake.set()

    def _served(self, version: str | None, spread: float) -> None:
        """Hear from the API which version this host should have."""
        with self._lock:
            applied = self._heartbeat.applied()
            if self._plan.serve(version, spread, applied, time.monotonic()):
                wait = max(0.0, (self._plan.due or 0.0) - time.monotonic())
                log(f"document {version} is served (applied: {applied}): run in {wait:.1f} s")
        self._wake.set()

    def _said(self, what: str, trouble: str | None) -> None:
        """Log a trouble when it begins, when it becomes another one, and when it ends."""
        with self._lock:
            before = self._troubles.pop(what, None)
            if trouble is not None:
                self._troubles[what] = trouble
        if trouble is not None and trouble != before:
            log(f"{what}: {self._config.url}: {trouble}")
        elif trouble is None and before is not None:
            log(f"{what}: well again")

    def _step(self) -> None:
        now = time.monotonic()
        self._run_ended(now)
        late = self._runs.late(now)
        if late is not None:
            log(late)
        applied = self._heartbeat.applied()
        with self._lock:
            start = not self._runs.waiting and self._plan.ready(applied, now)
            served = self._plan.served
        # A run of somebody else's may bring the version, and this daemon may have been restarted.
        if start and not self._runs.running():
            self._start(served, applied, now)
        if time.monotonic() >= self._next:
            self._beat()

    def _start(self, served: str | None, applied: str | None, now: float) -> None:
        self._started_for = served
        try:
            self._runs.start(now)
        except OSError as error:
            log(f"run not started: {error}")
            with self._lock:
                self._plan.ended(served, applied, now, busy=False)
            return
        log(f"run of {self._config.tool} asked for document {served}")
        self._next = 0.0

    def _run_ended(self, now: float) -> None:
        record = self._runs.poll(now)
        if record is None:
            return
        applied = self._heartbeat.applied()
        with self._lock:
            self._plan.ended(self._started_for, applied, now, busy=bool(record.get("busy")))
            wait = None if self._plan.due is None else max(0.0, self._plan.due - now)
        again = "" if wait is None else f"; again in {wait:.1f} s"
        log(f"run ended with {record.get('exit_code')}, applied: {applied}{again}")
        self._heartbeat.look()
        self._next = 0.0

    def _beat(self) -> None:
        now = time.monotonic()
        with self._lock:
            self._next = now + self._interval
        try:
            body = self._heartbeat.body(self._runs.report(), now)
            answer = self._api.heartbeat(body)
        except ApiError as error:
            self._said("heartbeat", str(error))
            self._failures += 1
            wait = backoff(
                self._failures - 1, self._interval, max(60, self._interval), self._chance
            )
            self._next = time.monotonic() + wait
            return
        except Exception as error:  # noqa: BLE001 - the next heartbeat may be well again
            self._said("heartbeat", f"{type(error).__name__}: {error}")
            return
        self._said("heartbeat", None)
        if self._failures:
            self._heartbeat.resend()
        self._failures = 0
        self._heartbeat.sent(body, now)
        interval = answer.get("interval")
        if isinstance(interval, (int, float)) and SHORTEST <= interval <= LONGEST:
            self._interval = float(interval)
            self._next = min(self._next, now + self._interval)
        spread = answer.get("spread")
        if isinstance(answer.get("document"), str):
            wait = float(spread) if isinstance(spread, (int, float)) else 0.0
            self._served(answer["document"], wait)

    def _pause(self) -> float:
        now = time.monotonic()
        with self._lock:
            times = [now + (GLANCE if self._runs.waiting else IDLE), self._next]
            if self._plan.due is not None and not self._runs.waiting:
                times.append(self._plan.due)
        return max(0.0, min(times) - now)


def log(text: str) -> None:
    """Write a line for the journal."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def notify(text: str) -> None:
    """Tell systemd, when it asked to be told."""
    address: Any = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.sendto(text.encode(), address)
