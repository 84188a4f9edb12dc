"""bgit in a process of its own, as a shell starts it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = "from bakery.cli.app import bgit; bgit(prog_name='bgit')"


def typed(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run one command where the test stands."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
