"""A file that a person names is read where it is a file, and of a sensible size."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bakery.cli import given
from bakery.errors import ConfigError
from bakery.settings import prefix
from tests.support.commands import typed_here


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder with a pipe, a folder, and a file that is large and takes no room."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("folder").mkdir()
    with Path("huge").open("wb") as huge:
        huge.truncate(prefix.TEXT_BYTES + 1)


ODD = [
    ("pipe", "pipe is a pipe or a device, not a file"),
    ("/dev/zero", "/dev/zero is a pipe or a device, not a file"),
    ("folder", "folder is a folder, not a file"),
    ("huge", "huge is larger than 16 MiB"),
    ("gone", "no such file: gone"),
    ("pipe/x", "pipe/x cannot be read: Not a directory"),
    ("~nobody-at-all/x", "~nobody-at-all/x is no path: "),
]


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(("name", "says"), ODD)
def test_a_text(name, says):
    with pytest.raises(ConfigError, match=f"^{says}"):
        prefix.read_text(Path(name))


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(("name", "says"), ODD)
def test_messages(name, says):
    with pytest.raises(ConfigError, match=f"^{says}"):
        prefix.read_file(Path(name))


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(("name", "says"), ODD)
def test_a_system_prompt_of_a_conversation(name, says):
    with pytest.raises(ConfigError, match=f"^--system @{name}: {says}"):
        given.system_prompt(f"@{name}")


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(("name", "says"), [odd for odd in ODD if odd[0][0] in "p/h"])
def test_a_file_to_check(name, says, repo, monkeypatch):
    told = Path(name).absolute()
    monkeypatch.chdir(repo.root)
    done = typed_here("check", str(told))
    assert done.exit_code == 1
    assert says in done.output


def test_lines_end_the_same_way_in_every_text(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n\n")
    assert prefix.read_text(path) == "one\ntwo\nthree"
