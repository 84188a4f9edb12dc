"""The process of an engine: what it says goes to a file, and it ends when we do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bakery.errors import StageError

WARDEN = Path(__file__).with_name("warden.py")
GRACE_S = 10.0
"""How long an engine may take to end before it is killed."""
START_S = 3600.0
"""How long it may take to begin: large weights are read from slow disks."""
LOOK_S = 0.1

SHOWN_LINES, SHOWN_BYTES = 20, 8192

_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "OPENAI_API_KEY", "ANTHROPIC_API_KEY")
"""Variables that are about this environment, or are nobody else's to know."""

_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1"}


class Process:
    """An engine that runs. `title` is what it is called, `log` where all that it says is."""

    def __init__(self, title: str, log: Path, warden: subprocess.Popen[bytes]) -> None:
        self.title, self.log, self._warden = title, log, warden

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._warden.poll() is not None

    def check(self) -> None:
        """Raise StageError, with the last that it said, where it has ended."""
        if self.is_over:
            raise StageError(
                f"{self.title} ended {_how(self._warden.returncode)}{self._last()}",
                hint=f"All that it said is in {self.log}.",
            )

    def wait(self, is_well: Callable[[], bool]) -> None:
        """Wait until it is well; StageError where it ends first, or nothing comes of it."""
        end = time.monotonic() + START_S
        while not is_well():
            self.check()
            if time.monotonic() > end:
                raise StageError(
                    f"{self.title} did not answer within {START_S / 60:.0f} minutes{self._last()}",
                    hint=f"All that it said is in {self.log}.",
                )
            time.sleep(LOOK_S)

    def stop(self) -> None:
        """End it, with all that it started; it is gone when this returns."""
        assert self._warden.stdin is not None
        self._warden.stdin.close()
        try:
            self._warden.wait(GRACE_S + 5)
        except subprocess.TimeoutExpired:
            self._warden.kill()
            self._warden.wait()

    def _last(self) -> str:
        """Return the last lines that it said, as the end of a message."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - SHOWN_BYTES))
            said = file.read().decode("utf-8", "replace").strip()
        lines = said.splitlines()[-SHOWN_LINES:]
        return ", and said:\n" + "\n".join(lines) if lines else ", and said nothing"


def _how(code: int) -> str:
    """Return how a program ended, by the code of its warden."""
    try:
        return f"by {signal.Signals(code - 128).name}"
    except ValueError:
        return f"with code {code}"


def environment() -> dict[str, str]:
    """Return the variables that an engine inherits; it is to fetch nothing from anywhere."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
    return {**inherited, **_OFFLINE}


@contextmanager
def running(
    title: str,
    command: Sequence[str],
    variables: Mapping[str, str],
    log: Path,
    *,
    folder: Path | None = None,
) -> Iterator[Process]:
    """Start an engine, and end it with the block, or with this process."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        warden = subprocess.Popen(
            [sys.executable, "-I", str(WARDEN), str(GRACE_S), *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**environment(), **variables},
            cwd=folder,
            start_new_session=True,  # Ctrl-C is for us, who let it end what it has begun
        )
    process = Process(title, log, warden)
    try:
        yield process
    finally:
        process.stop()
