"""Threads that wait for something to happen: the API's events and libvirt's."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable

from corral_host.hostd.api import Api, ApiError
from corral_host.hostd.plan import backoff

if TYPE_CHECKING:
    from corral_host.hostd.config import Config

#: Seconds before the events are asked for again, the first time and at most.
FIRST, LAST = 0.5, 60.0
#: Seconds after which a connection counts as a good one.
GOOD = 30.0
#: Seconds before libvirt is asked again when it does not answer.
LIBVIRT_AGAIN = 10.0


class Events(threading.Thread):
    """Keeps one connection to the API's events and hands over each version."""

    def __init__(
        self,
        config: Config,
        served: Callable[[str | None, float], None],
        said: Callable[[str, str | None], None],
    ) -> None:
        """Call ``served`` with version and spread, ``said`` with what is wrong or ``None``."""
        super().__init__(name="events", daemon=True)
        self._api = Api(config)
        self._served, self._said = served, said
        self._ending = threading.Event()
        self._last: str | None = None

    def run(self) -> None:
        """Connect, resume after the last version that came, and wait longer after each failure."""
        chance, failures = random.SystemRandom(), 0
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                for event in self._api.events(self._last):
                    self._said("events", None)
                    if event is not None and event["version"] is not None:
                        failures, self._last = 0, event["id"]
                        self._served(event["version"], _spread(event["spread"]))
                reason = "the connection was closed"
            except ApiError as error:
                reason = str(error)
            if self._ending.is_set():
                return
            failures = 0 if time.monotonic() - began > GOOD else failures + 1
            # A connection that ended once is no news: a load balancer does that.
            if failures > 1:
                self._said("events", reason)
            self._ending.wait(backoff(max(failures - 1, 0), FIRST, LAST, chance))

    def stop(self) -> None:
        """End the connection and the thread."""
        self._ending.set()
        self._api.cut()


def _spread(value: Any) -> float:  # noqa: ANN401
    return float(value) if isinstance(value, (int, float)) else 0.0


class Domains(threading.Thread):
    """Tells when a domain of this host starts, stops or changes its state otherwise."""

    def __init__(self, uri: str, happened: Callable[[], None]) -> None:
        """``happened`` is called for each event of libvirt's, and when it came back."""
        super().__init__(name="domains", daemon=True)
        self._uri, self._happened = uri, happened

    def run(self) -> None:
        """Listen, for as long as the process lives. Without python3-libvirt there is nothing to."""
        try:
            import libvirt  # noqa: PLC0415
        except ImportError:
            return
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        libvirt.virEventRegisterDefaultImpl()
        # Wakes the loop below, which would otherwise sleep on an empty list.
        libvirt.virEventAddTimeout(1000, lambda *_: None, None)
        while True:
            with suppress(libvirt.libvirtError):
                self._listen(libvirt)
            time.sleep(LIBVIRT_AGAIN)

    def _listen(self, libvirt: Any) -> None:  # noqa: ANN401
        connection = libvirt.openReadOnly(self._uri)
        connection.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lambda *_: self._happened(), None
        )
        connection.setKeepAlive(5, 3)
        self._happened()
        while connection.isAlive():
            libvirt.virEventRunDefaultImpl()
        self._happened()
