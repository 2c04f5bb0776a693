"""Returner: tell Corral what came of a run, on a minion that has no master to do so.

.. code-block:: yaml

    return: corral          # in the minion's configuration, or salt-call --return corral

The settings are those of ``/etc/corral/client.yaml`` and of the section ``corral`` of the minion's
configuration; the token is the node's own. While Corral is away, reports wait in ``cache_dir``
until the next run. With a master the engine ``corral_reports`` there does this.
"""

from __future__ import annotations

import logging

from saltext.corral import config, report, spool
from saltext.corral.errors import CorralError

__virtualname__ = "corral"

log = logging.getLogger(__name__)


def __virtual__() -> str:
    """Load always."""
    return __virtualname__


def returner(ret: dict) -> None:
    """Post the return of a state run; others are none of Corral's business. Never raises."""
    try:
        told = report.report_of(ret)
        if told is None:
            return
        settings = config.load(__opts__.get("corral"))
        # First what waits, so that Corral sees the runs in their order.
        spool.put(settings, report.encode(told))
        spool.flush(settings)
    except CorralError as error:
        log.error("corral report lost: %s", error)  # noqa: TRY400
