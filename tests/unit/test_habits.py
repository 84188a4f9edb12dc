"""What contributors run: the hooks fetch nothing, and the Makefile says what it can do."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

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
