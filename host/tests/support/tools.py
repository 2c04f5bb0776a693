"""The commands for people, as processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


def tool(
    name: str, *arguments: str, data: bytes = b"", timeout: float = 120
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", f"corral_host.tools.{name}", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        input=data,
        capture_output=True,
        check=False,
        timeout=timeout,
    )
