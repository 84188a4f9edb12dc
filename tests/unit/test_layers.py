"""What may be loaded when: tensors sleep until a model is needed."""

from __future__ import annotations

import graphlib
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from bakery.store import results

SOURCE = Path(__file__).parents[2] / "src" / "bakery"
HEAVY = ("torch", "transformers", "peft", "accelerate", "openai")

LIGHT = [
    "bakery",
    "bakery.schema",
    "bakery.identity",
    "bakery.records",
    "bakery.app.run",
    "bakery.app.background",
    "bakery.repo.model_repo",
    "bakery.repo.look.status",
    "bakery.ui.console",
    "bakery.ui.progress",
    *(f"bakery.cli.{path.stem}" for path in sorted((SOURCE / "cli").glob("[a-z]*.py"))),
]


@pytest.mark.parametrize("module", LIGHT)
def test_torch_sleeps_behind(module):
    assert loaded_by(f"import {module}", HEAVY) == []


def test_help_imports_no_command_and_no_screen():
    code = "from bakery.cli.app import bgit; bgit(['--help'], standalone_mode=False)"
    assert loaded_by(code, (*HEAVY, "rich", "pydantic", "yaml", "bakery.repo")) == []


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.name)
def test_a_module_says_first_what_it_is(path):
    assert path.read_text(encoding="utf-8").startswith('"""')


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.name)
def test_a_file_ends_before_it_is_too_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_no_two_modules_import_each_other_not_even_for_their_types():
    graph = grimp.build_graph("bakery", cache_dir=None)
    # The public names of `bakery` itself are imported when they are first used.
    imports = {
        name: graph.find_modules_directly_imported_by(name) - {"bakery"}
        for name in graph.modules - {"bakery"}
    }
    assert "bakery.records" in imports["bakery.backends.local"]
    graphlib.TopologicalSorter(imports).prepare()  # or CycleError, which names the circle


def loaded_by(code: str, names: tuple[str, ...]) -> list[str]:
    """Return which of the named packages a fresh interpreter has loaded after some code."""
    program = (
        "import contextlib, io, sys\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    {code}\n"
        f"print(*[name for name in {names!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_one_room_spells_what_a_stage_leaves():
    own = (results.STIMULI, results.TRAJECTORIES, results.METRICS, results.WEIGHTS,
           results.REQUEST, results.RESULT, results.DONE, results.REJECTED, results.FAILED,
           results.BESIDE, results.STEPS)  # fmt: skip
    found = {
        f"{path.relative_to(SOURCE)}: {name}"
        for path in SOURCE.rglob("*.py")
        for name in own
        if f'"{name}"' in path.read_text(encoding="utf-8")
    }
    assert found == {f"store/results.py: {name}" for name in own}


def test_what_decides_loads_no_screen():
    floors = ("app", "repo", "repo/look", "store")
    modules = [
        f"bakery.{floor.replace('/', '.')}.{path.stem}"
        for floor in floors
        for path in sorted((SOURCE / floor).glob("[a-z]*.py"))
    ]
    assert loaded_by(f"import {', '.join(modules)}", ("rich", "click", "torch")) == []


@pytest.mark.parametrize("command", ["status", "tree", "models", "show", "diff", "target"])
def test_a_look_loads_no_use_case(command):
    assert loaded_by(f"import bakery.cli.{command}", ("bakery.app.run", "bakery.app.making")) == []
