"""Get one document for one minion: from Corral, or for a while from the last good copy.

The rules, in short: a document is served when Corral gives it, or when Corral cannot be reached
and the copy is young enough. Everything else raises, because a run with less data than the node
should have is worse than no run.
"""

from __future__ import annotations

import json
import logging
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Callable, NamedTuple
from urllib.parse import quote

from saltext.corral import cache, config, documents
from saltext.corral.errors import BadAnswerError, CorralError, GoneError, UnreachableError
from saltext.corral.transport import Answer, fetch

if TYPE_CHECKING:
    from saltext.corral.config import Settings

log = logging.getLogger(__name__)

#: Seconds that clocks may differ; of a copy from further in the future nobody knows the age.
CLOCK_SKEW = 60.0
_OK, _NOT_MODIFIED, _NOT_FOUND, _GONE, _SERVER_ERROR = 200, 304, 404, 410, 500


class Served(NamedTuple):
    """A document as it goes to Salt."""

    #: The document itself, a mapping as described in ``documents``.
    document: dict
    #: The version of the node's document, as in the header ``Corral-Document``.
    version: str
    #: ``fresh``: it came with this answer. ``unchanged``: Corral confirmed the copy with a 304.
    #: ``stale``: Corral could not be reached. ``not asked``: the minion is not Corral's.
    source: str
    #: Seconds since Corral last gave or confirmed it.
    age: float
    #: Why a stale one is served.
    reason: str = ""


def serve(kind: str, minion: str, master: object = None, inline: object = None) -> Served:
    """Get the document ``kind`` (``pillar`` or ``tops``) of ``minion``, and log one line.

    ``master`` and ``inline`` are the settings as for ``config.load``. Takes up to ``timeout``
    seconds. Raises ``CorralError`` when there is no good document. A minion that the setting
    ``minions`` leaves out has an empty one.
    """
    try:
        settings = config.load(master, inline)
        if isinstance(minion, str) and not fnmatchcase(minion, settings.minions):
            return Served({}, "", "not asked", 0.0)
        served = get(settings, kind, minion)
    except CorralError as error:
        log.error("corral %s minion=%s source=none: %s", kind, minion, error)  # noqa: TRY400
        raise
    about = (kind, minion, served.version, served.source, served.age)
    if served.reason:
        log.warning("corral %s minion=%s version=%s source=%s age=%ds: %s", *about, served.reason)
    else:
        log.info("corral %s minion=%s version=%s source=%s age=%ds", *about)
    return served


def get(
    settings: Settings, kind: str, minion: str, clock: Callable[[], float] = time.time
) -> Served:
    """Do the same with settings at hand and in silence. ``clock`` gives seconds since 1970."""
    path = f"/{kind}/{quote_minion(minion)}"
    copy = cache.read(settings, kind, minion)
    try:
        answer = fetch(settings, path, copy.etag if copy else None)
        _refuse_bad_status(answer, minion)
    except UnreachableError as error:
        return _from_copy(settings, copy, error, clock())
    except GoneError:
        cache.forget(settings, kind, minion)
        raise
    now = clock()
    if answer.status == _NOT_MODIFIED:
        if copy is None or copy.etag is None:
            raise BadAnswerError("Corral answered 304, but there is nothing that it could confirm")
        documents.check_node(minion, answer.headers.get("Corral-Node"))
        source = "unchanged"
        # The same tops may belong to a newer version of the node.
        version = answer.headers.get("Corral-Document") or copy.version
        documents.check(kind, minion, version, copy.document)
        copy = copy._replace(confirmed=now, version=version)
    else:
        version, document = documents.parse(kind, minion, answer)
        source = "fresh"
        copy = cache.Copy(answer.headers.get("ETag"), version, now, document)
    cache.write(settings, kind, minion, copy)
    return Served(copy.document, copy.version, source, 0.0)


def quote_minion(minion: object) -> str:
    """Make one segment of a URL path from a minion id. Raises ``BadAnswerError``."""
    # "." and ".." would be folded into the path on the way, whatever the quoting.
    if not isinstance(minion, str) or minion in ("", ".", ".."):
        raise BadAnswerError(f"{minion!r} cannot be the id of a minion")
    try:
        return quote(minion, safe="")
    except UnicodeEncodeError as error:
        raise BadAnswerError(f"{minion!r} cannot be the id of a minion") from error


def _from_copy(
    settings: Settings, copy: cache.Copy | None, error: UnreachableError, now: float
) -> Served:
    if copy is None:
        raise UnreachableError(f"{error}, and there is no copy of an earlier document") from error
    age = now - copy.confirmed
    if age < -CLOCK_SKEW:
        raise UnreachableError(f"{error}, and the copy is from the future") from error
    if age > settings.max_age:
        limit = f"older than max_age {settings.max_age:.0f} s"
        raise UnreachableError(f"{error}, and the copy is {age:.0f} s old, {limit}") from error
    return Served(copy.document, copy.version, "stale", max(age, 0.0), str(error))


def _refuse_bad_status(answer: Answer, minion: str) -> None:
    status = answer.status
    if status in (_OK, _NOT_MODIFIED):
        return
    message = f"Corral answered {status} for {minion}{_problem(answer)}"
    if status >= _SERVER_ERROR:
        raise UnreachableError(message)
    if status in (_NOT_FOUND, _GONE):
        raise GoneError(message)
    raise BadAnswerError(message)


def _problem(answer: Answer) -> str:
    """Put the problem's code and detail into words, for people; nothing depends on them."""
    try:
        problem = json.loads(answer.body)
        words = [problem[key] for key in ("code", "detail") if isinstance(problem.get(key), str)]
    except (ValueError, AttributeError, RecursionError):
        return ""
    text = " ".join(": ".join(words).split())[:300]
    return f" ({text})" if text else ""
