"""What the tools ask: compare and apply things by kind, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corral_host import __version__
from corral_host.errors import BadSpec, HostError
from corral_host.kinds import KINDS, kind_class
from corral_host.kinds.base import Comparison, Spec, ensure_of

if TYPE_CHECKING:
    from corral_host.kinds.base import Kind
    from corral_host.session import Session


class Engine:
    """The operations of the protocol, on one session."""

    def __init__(self, session: Session) -> None:
        """Kinds are made when they are first asked for, and keep their listing."""
        self.session = session
        self._kinds: dict[str, Kind] = {}

    def kind(self, name: str) -> Kind:
        """Return the session's one instance of a kind."""
        if name not in self._kinds:
            self._kinds[name] = kind_class(name)(self.session)
        return self._kinds[name]

    def hello(self) -> dict[str, Any]:
        """Return versions, and the kinds with their properties."""
        kinds = {name: kind_class(name).properties for name in KINDS}
        return {"protocol": 1, "version": __version__, "kinds": kinds}

    def list(self, kind: str) -> dict[str, Any]:
        """Return everything of a kind that is on the host."""
        return {name: found.to_dict() for name, found in self.kind(kind).found().items()}

    def compare(self, kind: str, things: dict[str, Spec]) -> dict[str, Any]:
        """Compare many things with one listing. A thing that cannot be compared has ``error``."""
        return {name: self._compare(kind, name, spec) for name, spec in things.items()}

    def _compare(self, kind: str, name: str, spec: Spec) -> dict[str, Any]:
        try:
            return {**self._comparison(kind, name, spec).to_dict(), "error": None}
        except HostError as error:
            return {"error": {"code": error.code, "message": error.message}}

    def _comparison(self, kind: str, name: str, spec: Spec) -> Comparison:
        wanted = ensure_of(spec, f"{kind} {name}")
        one = self.kind(kind)
        if wanted:
            one.check(name, spec)
        comparison = one.compare(name, spec)
        key = (kind, name)
        self.session.pending.pop(key, None)
        if comparison.pending:
            self.session.pending[key] = comparison.to_dict()["pending"]
        return comparison

    def check(self, things: dict[str, dict[str, Spec]]) -> list[dict[str, Any]]:
        """Check all specs of a document, by kind and name, before anything is touched.

        Returns what is wrong; an empty list means that the document may be applied.
        """
        wrong = []
        for kind, specs in things.items():
            for name, spec in specs.items():
                error = self._wrong(kind, name, spec)
                if error is not None:
                    wrong.append({"kind": kind, "name": name, **error})
        return wrong

    def _wrong(self, kind: str, name: str, spec: Spec) -> dict[str, str] | None:
        try:
            if ensure_of(spec, f"{kind} {name}"):
                self.kind(kind).check(name, spec)
        except HostError as error:
            return {"code": error.code, "message": error.message}
        except ModuleNotFoundError as error:
            # It may come with the very run that asks.
            if error.name != "libvirt":
                raise
            return {"code": "no_libvirt", "message": "python3-libvirt is not installed"}
        return None

    def apply(self, kind: str, name: str, spec: Spec) -> dict[str, Any]:
        """Compare anew and apply. Returns the comparison from before, and what waits after it.

        Raises ``HostError``; also for refused differences, after the others were applied.
        """
        before = self._comparison(kind, name, spec)
        if before.differences or before.present != before.wanted:
            try:
                self.kind(kind).apply(name, spec, before)
            finally:
                # Of other kinds too: a bridge has domains on it, a volume is open in one.
                for one in self._kinds.values():
                    one.forget()
        if before.refused:
            raise HostError(
                "refused", "; ".join(f"{one.property}: {one.reason}" for one in before.refused)
            )
        after = self._comparison(kind, name, spec)
        left = after.differences or after.present != after.wanted
        if left:
            names = ", ".join(one.property for one in after.differences) or "ensure"
            raise HostError("not_applied", f"{kind} {name} still differs afterwards: {names}")
        return {**before.to_dict(), "pending": after.to_dict()["pending"]}

    def answer(self, request: Any) -> Any:  # noqa: ANN401
        """Answer one request of the protocol: a mapping with ``op`` and its arguments."""
        if not isinstance(request, dict):
            raise BadSpec("a request must be a mapping")
        op = request.get("op")
        if op == "hello":
            return self.hello()
        if op == "list":
            return self.list(request["kind"])
        if op == "check":
            return self.check(request["things"])
        if op == "compare":
            return self.compare(request["kind"], request["things"])
        if op == "apply":
            return self.apply(request["kind"], request["name"], request["spec"])
        raise HostError("unknown_op", f"there is no operation {op!r}")
