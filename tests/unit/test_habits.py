"""What contributors run: the hooks fetch nothing, and the Makefile says what it can do."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import bakery
from tools import try_dist

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_hooks_are_the_tools_of_the_environment():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    tools = {hook["entry"].split()[0] for hook in hooks}
    assert tools == {".venv/bin/ruff", ".venv/bin/mypy"}
    assert all(tool in MAKEFILE for tool in tools)


def test_every_target_is_said_at_the_top_of_the_makefile():
    targets = re.search(r"^\.PHONY: (.*?[^\\])$", MAKEFILE, re.MULTILINE | re.DOTALL)
    assert targets is not None
    head = MAKEFILE.partition("\n\n")[0]
    said = set(re.findall(r"[a-z]+(?:-[a-z]+)*", head))
    assert set(targets[1].replace("\\\n", " ").split()) - {"clean"} <= said


def test_the_version_is_asked_for_by_the_name_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    source = (ROOT / "src" / "bakery" / "__init__.py").read_text(encoding="utf-8")
    assert f'version("{project["project"]["name"]}")' in source
    assert f'return "{project["tool"]["hatch"]["version"]["fallback-version"]}"' in source


def test_nothing_looks_for_the_version_before_it_is_asked_for():
    code = (
        "import sys, bakery, bakery.cli.app\n"
        "before = 'importlib.metadata' in sys.modules\n"
        "print(before, bakery.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"False {bakery.__version__}\n"


@pytest.mark.parametrize("left_out", ["bakery/py.typed", "bakery/identity.py"])
def test_a_wheel_that_lacks_something_is_found_out(workplace, left_out):
    names = {p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src").rglob("*.py")}
    wheel = workplace / "some.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        for name in {*names, *try_dist.NEEDED} - {left_out}:
            made.writestr(name, "")
    assert try_dist.lacking(wheel) == [left_out]
