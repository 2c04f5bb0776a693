"""What came of a run, for Corral: made of Salt's job return, and posted to ``/reports/salt``.

The engine on a master and the returner on a minion without one do the same with it.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from typing import TYPE_CHECKING

from saltext.corral.transport import fetch

if TYPE_CHECKING:
    from saltext.corral.config import Settings

log = logging.getLogger(__name__)

_FUNCTIONS = ("state.apply", "state.highstate", "state.sls", "state.sls_id", "state.single")
_OK, _REDIRECTION, _BAD, _SERVER_ERROR = 200, 300, 400, 500
#: What a person may put right while the report waits: the token, its rights, the load.
_LATER = (401, 403, 408, 425, 429)
#: Another run is in the way: nothing was tried, so there is nothing to say.
_BUSY = 'The function "state.'


def report_of(job: dict, now: dt.datetime | None = None) -> dict | None:
    """Make a report of a job's return, or None when it has nothing to do with Corral.

    ``job`` has ``id``, ``jid``, ``fun``, ``fun_args``, ``return``, ``retcode``, as a returner gets
    it and as events of a master have it; ``_stamp`` is when it came, else ``now``.
    """
    if job.get("fun") not in _FUNCTIONS or not _concerns(job):
        return None
    returned = job["return"]
    states = list(returned.values()) if isinstance(returned, dict) else []
    finished = _time(job.get("_stamp")) or now or dt.datetime.now(dt.timezone.utc)
    return {
        "id": job["id"],
        "jid": job["jid"],
        "fun": job["fun"],
        "fun_args": job.get("fun_args") or [],
        "return": _reduced(returned) if isinstance(returned, dict) else returned,
        "retcode": job.get("retcode", 0),
        "success": bool(states) and all(state.get("result") is not False for state in states),
        "test": _asked_test(job) or any(state.get("result") is None for state in states),
        "started": _started(job, states, finished).isoformat(),
        "finished": finished.isoformat(),
    }


def post(settings: Settings, report: bytes) -> bool:
    """Post one report. Returns whether it is done with; False means that it should wait.

    Raises ``CorralError`` when Corral gave no whole answer. Takes up to ``timeout`` seconds.
    """
    status = fetch(settings, "/reports/salt", body=report)
    about = f"Corral answered {status.status}: {status.body[:300].decode(errors='replace')}"
    if _OK <= status.status < _REDIRECTION:
        return True
    if status.status >= _SERVER_ERROR or status.status in _LATER or status.status < _BAD:
        log.warning("corral report waits: %s", about)
        return False
    # 404: a minion that Corral does not know. Others would be refused tomorrow as well.
    log.warning("corral report dropped: %s", about)
    return True


def encode(report: dict) -> bytes:
    """Put a report into the bytes that are posted and kept."""
    return json.dumps(report, default=str).encode()


def _concerns(job: dict) -> bool:
    returned = job.get("return")
    if isinstance(returned, dict):
        return any(key.startswith("corral_|-") for key in returned)
    lines = [returned] if isinstance(returned, str) else returned
    if not isinstance(lines, list) or not lines:
        return False
    if any(str(line).startswith(_BUSY) for line in lines):
        return False
    names = [arg for arg in _args(job) if "=" not in arg]
    return not names or any(name.strip().startswith("corral") for name in names[0].split(","))


def _args(job: dict) -> list:
    return [arg for arg in job.get("fun_args") or [] if isinstance(arg, str)]


def _asked_test(job: dict) -> bool:
    """``test=True`` is a text for salt-call, and a mapping in what a master tells."""
    given = [arg.partition("=")[2] for arg in _args(job) if arg.startswith("test=")]
    given += [
        arg["test"] for arg in job.get("fun_args") or [] if isinstance(arg, dict) and "test" in arg
    ]
    return any(str(value).lower() in ("true", "1", "yes", "mock") for value in given)


def _reduced(returned: dict) -> dict:
    """Tell of states that are not Corral's only what changed, not how: it may be secret."""
    return {
        key: state
        if key.startswith("corral_|-") or not isinstance(state, dict)
        else {**state, "changes": dict.fromkeys(state.get("changes") or {}, "changed")}
        for key, state in returned.items()
    }


def _started(job: dict, states: list, finished: dt.datetime) -> dt.datetime:
    """Take the time from the job's id, which is UTC; salt-call's with a master is from its end."""
    spent = sum(float(state.get("duration") or 0) for state in states)
    latest = finished - dt.timedelta(milliseconds=spent)
    try:
        began = dt.datetime.strptime(f"{str(job['jid'])[:20]}+0000", "%Y%m%d%H%M%S%f%z")
    except ValueError:
        return latest
    return min(latest, began)


def _time(stamp: object) -> dt.datetime | None:
    """Read the time of an event, which is UTC without saying so."""
    try:
        time = dt.datetime.fromisoformat(str(stamp))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=dt.timezone.utc)
