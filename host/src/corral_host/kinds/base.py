"""What a kind of thing is: inspect, compare, apply.

A *spec* is the wanted state as the node's document gives it: a mapping with ``ensure`` (``present``
or ``absent``). A *property* is what a report names when it changes; its values are texts for people
and never hold a secret.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from corral_host.errors import BadSpec

if TYPE_CHECKING:
    from corral_host.session import Session

Spec = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """One property that is not as wanted. ``None`` means that there is none of it."""

    property: str
    current: str | None
    wanted: str | None
    #: For a difference that is refused, or that waits: why, and what would help.
    reason: str | None = None


@dataclass
class Comparison:
    """What is different. A thing as it should be has ``present == wanted`` and no differences."""

    #: Whether the thing is there now.
    present: bool
    #: Whether it should be.
    wanted: bool
    #: What ``apply`` changes, now and without a restart of anything that runs.
    differences: list[Difference] = field(default_factory=list)
    #: What is in the persistent definition already and takes effect at the next start.
    pending: list[Difference] = field(default_factory=list)
    #: What ``apply`` will not do, and why. The thing counts as failed.
    refused: list[Difference] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for the wire."""
        return asdict(self)


@dataclass(frozen=True)
class Found:
    """One thing that is on the host."""

    #: Whether Corral made it: only such things are ever changed or removed.
    managed: bool
    #: running, stopped, active, up ... what the kind calls its state.
    state: str
    #: Property name to text for people.
    properties: dict[str, str]
    #: Other facts, as plain data.
    detail: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for the wire."""
        return asdict(self)


class Kind:
    """One kind of thing. Instances live as long as their session and may cache one listing."""

    #: The kind's name on the wire, in snake case.
    name: ClassVar[str]
    #: The properties that a report can name, beside ``ensure``, with their meaning.
    properties: ClassVar[dict[str, str]]

    def __init__(self, session: Session) -> None:
        """Kinds get all that touches the host from the session."""
        self.session = session

    def forget(self) -> None:
        """Drop what was cached, after something else may have changed the host."""

    def found(self) -> dict[str, Found]:
        """Return all things of this kind on the host, ours and others', by name."""
        raise NotImplementedError

    def check(self, name: str, spec: Spec) -> None:
        """Raise ``BadSpec`` for a spec that cannot be right, before anything is touched."""

    def compare(self, name: str, spec: Spec) -> Comparison:
        """Compare one thing with its spec. Changes nothing."""
        raise NotImplementedError

    def apply(self, name: str, spec: Spec, comparison: Comparison) -> None:
        """Make the differences of ``comparison`` go away; not the pending and refused ones.

        Raises ``HostError``. Running it again after it was killed half-way must finish the work.
        """
        raise NotImplementedError


def ensure_of(spec: Any, where: str) -> bool:  # noqa: ANN401
    """Return whether the spec wants the thing to be there; absence is never guessed."""
    if not isinstance(spec, dict):
        raise BadSpec(f"{where} must be a mapping, not {type(spec).__name__}")
    ensure = spec.get("ensure")
    if ensure not in ("present", "absent"):
        raise BadSpec(f"{where} has ensure {ensure!r}, not 'present' or 'absent'")
    return ensure == "present"
