"""bgit as a shell starts it, in a process of its own or, faster, in the test's."""

from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner, Result

from bakery.cli.app import bgit

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


def typed_here(*words: str) -> Result:
    """Run one command where the test stands, in its process."""
    return CliRunner().invoke(bgit, list(words))
