"""Grains of a host that Corral builds: what was applied at last, as its engine noted it."""

from __future__ import annotations

import configparser
import json
from pathlib import Path


def corral() -> dict:
    """Return ``{"corral": {"document": version, "roles": [...], "site": ...}}``, or nothing yet."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read("/etc/corral/host.conf")
        folder = Path(parser.get("host", "state_dir", fallback="/var/lib/corral"))
        applied = json.loads((folder / "applied.json").read_text(encoding="utf-8"))
        return {"corral": {key: applied[key] for key in ("document", "roles", "site")}}
    except (OSError, ValueError, KeyError, TypeError, configparser.Error):
        # Grains that raise would fail jobs that have nothing to do with Corral.
        return {}
