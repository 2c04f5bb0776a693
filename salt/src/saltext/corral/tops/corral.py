"""Master tops: the states of a minion, from the roles that it has in Corral.

.. code-block:: yaml

    master_tops:
      corral: {}                              # settings as for the external pillar

Salt swallows what a top function raises, and goes on with the states of ``top.sls`` alone: a run
with less. A state that does not exist, however, fails the whole run before anything is applied,
and Salt prints its name. So a failure is returned as such a name, with the reason in it.
"""

from __future__ import annotations

import logging
import re

from saltext.corral.client import serve
from saltext.corral.errors import CorralError

__virtualname__ = "corral"

log = logging.getLogger(__name__)

UNAVAILABLE = "corral.unavailable"
_LONGEST = 300


def __virtual__() -> str:
    """Load always: what is wrong with the settings must fail the runs, not drop the states."""
    return __virtualname__


def top(**kwargs: object) -> dict:
    """Return ``{saltenv: [state, ...]}`` for the minion. Takes up to ``timeout`` seconds.

    Never raises. Without good tops the only state is one that cannot exist; its name begins with
    ``corral.unavailable`` and tells why.
    """
    try:
        minion = kwargs["opts"]["id"]
        inline = __opts__["master_tops"]["corral"]
        return serve("tops", minion, __opts__.get("corral"), inline).document
    except CorralError as error:
        return _unavailable(str(error))
    except Exception as error:
        log.exception("corral tops failed")
        return _unavailable(repr(error))


def _unavailable(reason: str) -> dict:
    # No * ? [ ] and no /: Salt takes the name for a pattern, and then for a path.
    words = re.sub(r"[^A-Za-z0-9 .,:;()=_-]+", " ", reason)
    name = f"{UNAVAILABLE}: {' '.join(words.split())}"[:_LONGEST].rstrip(". ")
    return {"base": [name]}
