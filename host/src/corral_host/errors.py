"""What can go wrong, with a code that programs can tell apart."""

from __future__ import annotations


class HostError(Exception):
    """Something that the host or its document did not allow; the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        """``code`` is stable and in snake case; ``message`` is a sentence for people."""
        super().__init__(message)
        self.code = code
        self.message = message


class BadSpec(HostError):  # noqa: N818
    """The wanted state itself is not something that this host can understand."""

    def __init__(self, message: str) -> None:
        """``message`` names the field."""
        super().__init__("bad_spec", message)
