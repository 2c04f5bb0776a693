"""What a document must look like before Salt may see it.

A pillar is ``{"corral": {"document": version, "node": minion id, "roles": [...], ...}}``; tops are
``{saltenv: [state, ...]}``. Both come with the headers ``Corral-Document`` and ``Corral-Node``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn

from saltext.corral.errors import BadAnswerError

if TYPE_CHECKING:
    from saltext.corral.transport import Answer

#: Salt reads * ? [ ] in the name of a state as a pattern over all of its states.
_STATE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def parse(kind: str, minion: str, answer: Answer) -> tuple[str, dict]:
    """Read an answer of 200: the version and the document. Raises ``BadAnswerError``."""
    try:
        document = json.loads(answer.body, parse_constant=_no_constant)
        # Half of a surrogate pair is a string to Python, but nothing that Salt can send on.
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadAnswerError(f"the {kind} is not JSON, or not all of it: {error}") from error
    version = answer.headers.get("Corral-Document")
    if not version:
        raise BadAnswerError(f"the {kind} has no version: the header Corral-Document is missing")
    check_node(minion, answer.headers.get("Corral-Node"), required=True)
    check(kind, minion, version, document)
    return version, document


def check(kind: str, minion: str, version: str, document: object) -> None:
    """Raise ``BadAnswerError`` unless this is the ``kind`` of ``minion`` in this version."""
    if not isinstance(document, dict):
        raise BadAnswerError(f"the {kind} is not a mapping")
    if kind == "pillar":
        _check_pillar(minion, version, document)
    else:
        _check_tops(document)


def check_node(minion: str, node: object, *, required: bool = False) -> None:
    """Raise ``BadAnswerError`` when the answer is about another node than ``minion``."""
    if node is None and not required:
        return
    if node is None:
        raise BadAnswerError("the answer does not say for which node it is")
    if node != minion:
        raise BadAnswerError(f"the document is for another node, {str(node)[:255]!r}")


def _check_pillar(minion: str, version: str, document: dict) -> None:
    corral = document.get("corral")
    if not isinstance(corral, dict):
        raise BadAnswerError("the pillar has no mapping 'corral'")
    check_node(minion, corral.get("node"), required=True)
    if corral.get("document") != version:
        raise BadAnswerError(f"the pillar is not version {version}, as the answer says it is")
    roles = corral.get("roles")
    if not isinstance(roles, list) or not roles or not all(isinstance(r, str) for r in roles):
        raise BadAnswerError("the pillar has no list of roles")


def _check_tops(document: dict) -> None:
    for saltenv, states in document.items():
        if not isinstance(states, list) or not all(isinstance(state, str) for state in states):
            raise BadAnswerError(f"the tops of {saltenv!r} are not a list of states")
        for state in states:
            if not _STATE.fullmatch(state):
                raise BadAnswerError(f"the tops name {state[:100]!r}, which cannot be a state")
    if not any(document.values()):
        raise BadAnswerError("the tops name no state at all")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
