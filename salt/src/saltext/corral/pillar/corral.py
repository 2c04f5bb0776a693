"""External pillar: everything that Corral knows of a minion, under the key ``corral``.

.. code-block:: yaml

    ext_pillar:
      - corral: {}                            # settings from /etc/corral/client.yaml
      - corral: /etc/corral/other.yaml        # from another file
      - corral: {url: "https://corral.example.net", token_file: /etc/corral/token}
"""

from __future__ import annotations

from saltext.corral.client import serve

__virtualname__ = "corral"


def __virtual__() -> str:
    """Load always: what is wrong with the settings must fail the runs, not hide the pillar."""
    return __virtualname__


def ext_pillar(
    minion_id: str,
    pillar: dict,  # noqa: ARG001
    config_file: str | None = None,
    **settings: object,
) -> dict:
    """Return ``{"corral": {...}}`` for the minion. Takes up to ``timeout`` seconds.

    Raises ``CorralError``, which Salt puts into the pillar as ``_errors``; states refuse to run
    then. An empty pillar would let them run without data.
    """
    inline = {"config": config_file, **settings} if settings else config_file
    return serve("pillar", minion_id, __opts__.get("corral"), inline).document
