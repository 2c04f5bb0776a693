"""The coprocess of Puppet types and Salt states: a line of JSON in, a line of JSON out.

One process, one libvirt connection and one listing of each kind for a whole run. It ends when its
standard input does.
"""

from __future__ import annotations

import json
import sys
from typing import IO

from corral_host.engine import Engine
from corral_host.errors import HostError
from corral_host.kinds.document import finish
from corral_host.session import Session


def serve(requests: IO[str] | None = None, answers: IO[str] | None = None) -> None:
    """Answer requests until there are no more.

    ``{"id": 1, "op": "compare", "kind": "domain", "things": {...}}`` is answered by
    ``{"id": 1, "result": {...}}`` or ``{"id": 1, "error": {"code": ..., "message": ...}}``.
    """
    requests, answers = requests or sys.stdin, answers or sys.stdout
    session = None
    engine = None
    for line in requests:
        if not line.strip():
            continue
        number = None
        try:
            request = json.loads(line)
            number = request.get("id") if isinstance(request, dict) else None
            if engine is None:
                session = Session()
                engine = Engine(session)
            answer = {"id": number, "result": engine.answer(request)}
        except HostError as error:
            answer = {"id": number, "error": {"code": error.code, "message": error.message}}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"{type(error).__name__}: {error}"
            answer = {"id": number, "error": {"code": "bad_spec", "message": message}}
        except Exception as error:  # noqa: BLE001 - the run goes on with the next thing
            message = f"{type(error).__name__}: {error}"
            answer = {"id": number, "error": {"code": "failed", "message": message}}
        answers.write(json.dumps(answer, ensure_ascii=True) + "\n")
        answers.flush()
    if engine is not None and session is not None:
        finish(engine.kind("document"))
        session.close()
