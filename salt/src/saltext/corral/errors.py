"""What can go wrong between Salt and Corral, by what may be done about it."""

from __future__ import annotations


class CorralError(Exception):
    """There is no good document; the message says why, in one line."""


class ConfigError(CorralError):
    """A setting is missing, unknown or unusable. Names the key; never falls back on a copy."""


class BadAnswerError(CorralError):
    """Corral answered, but not with this node's document. Never falls back on a copy."""


class GoneError(BadAnswerError):
    """Corral said that there is no such node, or no more: 404 or 410. The copy is dropped."""


class UnreachableError(CorralError):
    """Refused, timed out, a TLS error or a 5xx: a copy that is young enough may stand in."""
