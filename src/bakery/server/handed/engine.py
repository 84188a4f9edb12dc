"""What an engine of others has to be told: how it is started, and how one of our models is asked.

Which program it is, and whether that may be used: nothing is installed, and a version that is
known to answer wrongly is refused by its name.
"""

from __future__ import annotations

import shutil
import subprocess
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from bakery.app.serve import Served
from bakery.errors import ConfigError
from bakery.identity import BaseModelId
from bakery.reporting import Reporter
from bakery.server.handed import process
from bakery.server.handed.adapters import Adapters

if TYPE_CHECKING:
    from httpx2 import AsyncClient

VERSION_S = 300.0
"""How long a program may take to say its version: some load their libraries first."""

LOOPBACK = "127.0.0.1"


class Gguf(Protocol):
    """What writes a base and its adapters as GGUF files."""

    def base(self, path: Path) -> None:
        """Write the base."""

    def adapter(self, folder: Path, path: Path) -> None:
        """Write a composed adapter as a LoRA on it."""


@dataclass(frozen=True, slots=True)
class Start:
    """What an engine begins with."""

    program: Path
    base: BaseModelId
    base_name: str
    place: Path
    """Where the base lies: a folder, or a .gguf file."""
    adapters: Adapters
    models: tuple[Served, ...]
    """What it has in memory from the beginning."""
    rank: int
    """The largest of all adapters that it may be asked for."""
    bakes: int
    rows: int | None
    """Answers at once; None: its own number."""
    port: int
    key: str
    """What a request to it has to have: only we may ask."""
    gguf: Gguf
    """What writes GGUF files of this base."""


class Engine(ABC):
    """An engine of others, before and while it runs."""

    name: ClassVar[str]
    title: ClassVar[str]
    program: ClassVar[str]
    """What its executable is called."""

    def __init__(self, start: Start) -> None:
        self.start = start

    @property
    def folder(self) -> Path | None:
        """Where it runs; None: where we do."""
        return None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self.start.port}"

    def is_well(self) -> bool:
        """Tell whether it answers by now."""
        import httpx2

        where = f"{self.url}/health"
        try:
            with httpx2.stream("GET", where, timeout=5, trust_env=False) as answer:
                return answer.status_code == 200  # what else it says may have no end
        except httpx2.TransportError:
            return False

    @classmethod
    @abstractmethod
    def refuse(cls, program: Path, said: str) -> None:
        """Refuse a program by what it says of its version; ConfigError says why."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the line that starts it."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Return the variables that it is started with, its key among them."""

    @abstractmethod
    def holding(
        self, client: AsyncClient, served: Served
    ) -> AbstractAsyncContextManager[dict[str, Any]]:
        """Have it hold a model for the length of a request, and give what the request's body says.

        A BakeryError says why it cannot.
        """


def found(kind: type[Engine], given: Path | None) -> Path:
    """Return the program of an engine: the one that is given, else that on the PATH."""
    place = shutil.which(str(given) if given else kind.program)
    if place is None and given is not None:
        place = shutil.which(given.absolute())  # a name alone is looked for on the PATH
    if place is None and given is not None and not given.is_file():
        raise ConfigError(f"there is no file {given}", hint="--engine-path names an executable.")
    if place is None and given is not None:
        raise ConfigError(f"{given} cannot be executed", hint=f"As in `chmod +x {given}`.")
    if place is None:
        raise ConfigError(
            f"there is no {kind.program} on the PATH",
            hint=f"{kind.title} is not installed with bakery: install it in an environment of its "
            f"own, and name it with --engine-path FILE.",
        )
    return Path(place).absolute()


def checked(kind: type[Engine], program: Path, reporter: Reporter) -> None:
    """Ask a program for its version; refuse one that answers wrongly, note one that is unknown."""
    with reporter.doing(f"asking {kind.title} for its version"):
        try:
            done = subprocess.run(
                [program, "--version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=VERSION_S,
                check=False,
                env=process.environment(),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(
                f"{program} does not say its version: {error}",
                hint=f"--engine-path names the executable of {kind.title}.",
            ) from error
    lines = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace").splitlines()
    numbered = [line.strip() for line in lines if any(c.isdigit() for c in line)]
    said = numbered[0] if numbered and not done.returncode else ""
    kind.refuse(program, said)
    if not said:
        reporter.note(f"{program} says no version (code {done.returncode}): it is taken as it is")
    else:
        reporter.note(f"{kind.title} at {program}: {said[:100]}")
