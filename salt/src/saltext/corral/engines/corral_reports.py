"""Engine of a master: tell Corral what came of each minion's state runs.

.. code-block:: yaml

    engines:
      - corral_reports: {}      # settings as for the external pillar

It reads the event bus and never keeps it waiting: a thread of its own posts, with a token of the
kind ``server``. While Corral is away, reports wait in ``cache_dir``, at most 10 000 of them,
256 MiB and ``max_age``, and are posted in their order when it is back.
"""

from __future__ import annotations

import logging
import queue
import threading
import time

import salt.utils.event

from saltext.corral import config, report, spool
from saltext.corral.errors import ConfigError, CorralError

__virtualname__ = "corral_reports"

log = logging.getLogger(__name__)

#: Reports that wait in memory for the thread; more go to the disk at once.
_QUEUE = 1000
#: Seconds until Corral is asked again after it was away: doubled each time, within these.
_SOONEST, _LATEST = 1.0, 60.0


def __virtual__() -> str:
    """Load always: what is wrong with the settings stands in the log."""
    return __virtualname__


def start(config_file: str | None = None, **settings: object) -> None:
    """Read events for as long as the master runs."""
    inline = {"config": config_file, **settings} if settings else config_file
    sender = Sender(_settings(inline))
    threading.Thread(target=sender.run, name="corral-reports", daemon=True).start()
    with salt.utils.event.get_master_event(__opts__, __opts__["sock_dir"], listen=True) as bus:
        for event in bus.iter_events(tag="salt/job/", full=True, auto_reconnect=True):
            if "/ret/" in event["tag"]:
                sender.take(event["data"])


def _settings(inline: object) -> config.Settings:
    while True:
        try:
            return config.load(__opts__.get("corral"), inline)
        except ConfigError as error:  # noqa: PERF203
            # An engine that ends is started again at once.
            log.error("corral reports are not sent: %s", error)  # noqa: TRY400
            time.sleep(_LATEST)


class Sender:
    """Posts reports, and keeps those that cannot be posted now."""

    def __init__(self, settings: config.Settings) -> None:
        """``run`` is for a thread, ``take`` for the others."""
        self._settings = settings
        self._queue: queue.Queue = queue.Queue(_QUEUE)
        self._pause = _SOONEST
        self._not_before = 0.0

    def take(self, job: dict) -> None:
        """Take the return of a job. Returns at once and never raises."""
        try:
            told = report.report_of(job)
            if told is None:
                return
            body = report.encode(told)
            try:
                self._queue.put_nowait(body)
            except queue.Full:
                spool.put(self._settings, body)
        except Exception:
            log.exception("corral report lost")

    def run(self) -> None:
        """Post for ever: first what an earlier process left."""
        while True:
            try:
                self.step()
            except Exception:  # noqa: PERF203
                log.exception("corral reports")
                time.sleep(_SOONEST)

    def step(self) -> None:
        """Wait for one report, or for the time to try again what waits."""
        waits = bool(spool.waiting(self._settings))
        left = max(0.0, self._not_before - time.monotonic())
        try:
            body = self._queue.get(timeout=left if waits else None)
        except queue.Empty:
            self._tried(gone=spool.flush(self._settings))
            return
        if waits or left:
            spool.put(self._settings, body)
            return
        try:
            done = report.post(self._settings, body)
        except CorralError as error:
            log.warning("corral report waits: %s", error)
            done = False
        if not done:
            spool.put(self._settings, body)
        self._tried(gone=done)

    def _tried(self, *, gone: bool) -> None:
        self._pause = _SOONEST if gone else min(self._pause * 2, _LATEST)
        self._not_before = 0.0 if gone else time.monotonic() + self._pause
