"""What the development environment is installed from: every package by version and by hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tools.lock import entries_of, written

ROOT = Path(__file__).parents[2]


def entries(name: str) -> dict[str, list[str]]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines(keepends=True)
    return entries_of("".join(line for line in lines if not line.startswith("#")))


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[=<>!~; ]", name)[0]).lower()


@pytest.fixture
def versions() -> dict[str, str]:
    """What constraints.txt says was tested."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {plain(line): line.partition("==")[2] for line in lines if "==" in line}


@pytest.mark.parametrize("of", ["", "-cpu", "-cuda"])
def test_everything_that_is_locked_has_a_version_and_a_hash(of):
    found = entries(f"requirements{of}.lock")
    assert found
    for name, hashes in found.items():
        assert re.fullmatch(r"[a-z0-9-]+==[^ ]+( ; .*)?", name)
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), name


def test_the_lock_has_the_versions_that_were_tested(versions):
    for name in entries("requirements.lock"):
        assert versions[plain(name)] == name.split(" ")[0].partition("==")[2], "run `make lock`"


def test_the_lock_has_all_that_the_package_and_its_developers_need():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, builds = told["project"], told["build-system"]["requires"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"], *builds]
    locked = {plain(name) for name in entries("requirements.lock")}
    assert {plain(name) for name in needed} <= locked


def test_torch_may_be_the_local_file_or_the_indexs():
    (local,) = entries("requirements-cpu.lock").values()
    every = next(h for n, h in entries("requirements.lock").items() if n.startswith("torch=="))
    assert {*local} < {*every}


def test_what_only_a_gpu_needs_is_apart():
    assert not [n for n in entries("requirements.lock") if n.startswith(("nvidia", "triton"))]
    assert [n for n in entries("requirements-cuda.lock") if n.startswith("nvidia-cublas==")]


def test_a_lock_is_read_as_it_was_written():
    one = {
        "torch==2.0 ; sys_platform == 'linux'": ["sha256:ab", "sha256:cd"],
        "rich==1": ["sha256:e"],
    }
    assert entries_of(written(one)) == one
