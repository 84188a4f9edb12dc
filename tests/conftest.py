"""Every test runs in an empty folder, with its own HOME and git identity, and no network."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from bakery import masking

GIT_CONFIG = """\
[user]
    name = Ann Example
    email = ann@example.org
[init]
    defaultBranch = main
"""


def pytest_configure() -> None:
    """Have what tests start hear Ctrl-C, also where a shell runs them in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder that nothing of this machine's settings reaches."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    config = home / ".gitconfig"
    config.write_text(GIT_CONFIG, encoding="utf-8")
    for name in [n for n in os.environ if n.startswith(("GIT_", "BGIT_", "BAKERY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(
        masking, "_known", set()
    )  # what one test gave for a key is a word in another
    monkeypatch.setattr(socket.socket, "connect", _local_only(socket.socket.connect))
    monkeypatch.chdir(work)
    return work


def _local_only(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"tests use no network (asked for {address[0]})")
        return connect(self, address)

    return guarded
