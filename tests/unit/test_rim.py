"""Where a command ends: Ctrl-C reaches it wherever it comes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# What runs as the process comes to its work, and drops whatever is raised in it.
DROPPED = {
    "a destructor": (
        "class Gone:\n    def __del__(self):\n        signal.raise_signal(SIGINT)\nGone()"
    ),
    "a weak reference": (
        "class Gone: pass\n"
        "gone = Gone()\n"
        "kept = weakref.ref(gone, lambda _: signal.raise_signal(SIGINT))\n"
        "del gone"
    ),
}

WORK = """
import signal, sys, time, weakref
from signal import SIGINT
from bakery.cli import rim

signal.signal(SIGINT, signal.default_int_handler)

def work():
    exec(sys.argv[1])
    time.sleep(60)
    return 0

rim.end(work, stopped="go on like this")
"""


# Windows has no signal that interrupts one process as Ctrl-C does.
@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("where", DROPPED)
def test_ctrl_c_that_python_drops_is_pressed_again(where: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK, DROPPED[where]], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 130
    assert done.stderr == "\nstopped; go on like this\n"


def test_what_else_a_destructor_raises_is_told_as_ever() -> None:
    raised = "class Gone:\n    def __del__(self):\n        raise ValueError('told')\nGone()"
    work = WORK.replace("time.sleep(60)", "pass")
    done = subprocess.run(
        [sys.executable, "-c", work, raised], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0
    assert "ValueError: told" in done.stderr


@pytest.mark.parametrize("where", ["print", "raise"])
def test_nothing_that_is_printed_tells_a_secret(where: str) -> None:
    told = {
        "print": "print(os.environ['OPENAI_API_KEY'])",
        "raise": "raise ValueError(os.environ['OPENAI_API_KEY'])",
    }
    work = WORK.replace("import signal,", "import os, signal,").replace("time.sleep(60)", "pass")
    done = subprocess.run(
        [sys.executable, "-c", work, told[where]],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "OPENAI_API_KEY": "abc-123-def-456"},
    )
    assert "…" in done.stdout + done.stderr
    assert "abc-123" not in done.stdout + done.stderr
