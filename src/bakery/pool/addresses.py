"""Where `--on` says that questions and answers are made; what is no such place is refused."""

from __future__ import annotations

import importlib.util
import re
import socket
from dataclasses import dataclass

from bakery.errors import ConfigError

LOCAL = "local-cluster"
PLACES = f"{LOCAL}, {LOCAL}:4 (four processes), or ray://HOST:PORT"
MOST = 512
"""Processes of one machine: more is a slip of the finger."""
KNOCK_S = 5.0
"""How long a cluster may take to accept a connection."""
INSTALL = "`pip install 'prompt-bakery[ray]'` adds it."


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster of this machine, or one that exists. `host` "": this machine."""

    host: str = ""
    port: int = 0
    actors: int | None = None
    """None: as many as fit."""

    @property
    def is_local(self) -> bool:
        """Whether it is begun, and ended, by us."""
        return not self.host

    def __str__(self) -> str:
        return LOCAL if self.is_local else f"ray://{_bracketed(self.host)}:{self.port}"


def place(text: str) -> Place:
    """Return the place that a text means; ConfigError: it is none."""
    if text == LOCAL:
        return Place()
    if found := re.fullmatch(rf"{LOCAL}:(\d{{1,9}})", text):
        actors = int(found[1])
        if not 1 <= actors <= MOST:
            raise ConfigError(f"--on {text}: a cluster has 1 to {MOST} processes here")
        return Place(actors=actors)
    if found := re.fullmatch(r"ray://(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})/?", text):
        port = int(found[2])
        if 1 <= port < 1 << 16:
            return Place(found[1].strip("[]"), port)
    raise ConfigError(
        f"--on {text!r} is no place to answer at",
        hint=f"There are: {PLACES}. The port is that of Ray's client server, 10001 where nobody "
        "chose another. Slurm, SkyPilot and Kubernetes: docs/cluster.md.",
    )


def check(place: Place) -> None:
    """Refuse a place that cannot be used from here: nothing is started or sent yet."""
    needed = ("ray",) if place.is_local else ("ray", "grpc")
    for package in needed:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"--on {place} needs the package {package}, which is not installed", hint=INSTALL
            )
    if not place.is_local:
        _knock(place)


def _knock(place: Place) -> None:
    try:
        socket.create_connection((place.host, place.port), timeout=KNOCK_S).close()
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ConfigError(
            f"no cluster answers at {place}: {why}",
            hint="`ray start --head --ray-client-server-port 10001` begins one there; `--on "
            f"{LOCAL}` uses this machine.",
        ) from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
