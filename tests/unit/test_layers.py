"""What may be loaded when: tensors sleep until a model is needed."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
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


def test_torch_sleeps_behind_what_only_looks():
    """One interpreter imports them all: the first that wakes it is named."""
    code = (
        f"for name in {LIGHT!r}:\n"
        "        __import__(name)\n"
        f"        woken = [heavy for heavy in {HEAVY!r} if heavy in sys.modules]\n"
        "        assert not woken, (name, woken)"
    )
    assert loaded_by(code, HEAVY) == []


def test_help_imports_no_command_and_no_screen():
    code = "from bakery.cli.app import bgit; bgit(['--help'], standalone_mode=False)"
    assert loaded_by(code, (*HEAVY, "rich", "pydantic", "yaml", "bakery.repo")) == []


def test_a_module_says_first_what_it_is():
    silent = [path.name for path, text in sources() if not text.startswith('"""')]
    assert silent == []


def test_a_file_ends_before_it_is_too_long():
    long = {path.name: count for path, text in sources() if (count := len(text.splitlines())) > 400}
    assert long == {}


def sources() -> Iterator[tuple[Path, str]]:
    """Yield every file of the package with its text."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield path, path.read_text(encoding="utf-8")


def test_no_two_modules_import_each_other_not_even_for_their_types():
    graph = grimp.build_graph("bakery", cache_dir=None)
    # The public names of `bakery` itself are imported when they are first used.
    imports = {
        name: graph.find_modules_directly_imported_by(name) - {"bakery"}
        for name in graph.modules - {"bakery"}
    }
    assert "bakery.records" in imports["bakery.backends.local"]
    graphlib.TopologicalSorter(imports).prepare()  # or CycleError, which names the circle


LONGEST_FUNCTION, LONGEST_CLASS, MOST_ARGUMENTS = 60, 250, 6
"""Lines, lines, and arguments by position. Not counted: `self`, what can only be given by name (it
reads well however much there is), and what click hands to a command, which is all by name."""

OVER = {
    "app/making.py Making": "class",  # every stage of a run, on the models that they share
    "distil/trainer.py ContextBakingTrainer.__init__": "arguments",  # those of transformers.Trainer
    "engine/loss/readout.py Readout.divergence": "arguments",
    "engine/packed/support.py _decoded": "arguments",
    "engine/sampling/sampling.py _sample_shared": "arguments",
    "engine/training/rounds.py Rounds": "class",
    "repo/model_repo.py ModelRepo": "class",  # half of it hands on to modules of its own
}
"""What is over a limit all the same. Nothing is added; what keeps to it by now is taken out."""


def test_classes_functions_and_arguments_keep_their_limits():
    found = {
        f"{path.relative_to(SOURCE).as_posix()} {name}": what
        for path, text in sources()
        for name, what in over(ast.parse(text))
    }
    assert found == OVER


def over(node: ast.AST, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield what of a piece of code is over a limit, by its dotted name."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from over(child, name)
            continue
        full = f"{name}.{child.name}".lstrip(".")
        lines = (child.end_lineno or child.lineno) - child.lineno + 1
        if isinstance(child, ast.ClassDef):
            if lines > LONGEST_CLASS:
                yield full, "class"
        elif lines > LONGEST_FUNCTION:
            yield full, "function"
        elif arguments(child) > MOST_ARGUMENTS:
            yield full, "arguments"
        yield from over(child, full)


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the arguments that are given by position."""
    if any("click.command" in ast.unparse(decorator) for decorator in function.decorator_list):
        return 0
    given = [*function.args.posonlyargs, *function.args.args]
    return sum(argument.arg not in ("self", "cls") for argument in given)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def f(a, b, c, d, e, g): ...", []),
        ("def f(a, b, c, d, e, g, h): ...", [("f", "arguments")]),
        ("def f(a, *, b, c, d, e, g, h): ...", []),
        ("class A:\n def f(self, a, b, c, d, e, g): ...", []),
        ("class A:\n def f(self, a, b, c, d, e, g, h): ...", [("A.f", "arguments")]),
        ("@click.command()\ndef f(a, b, c, d, e, g, h): ...", []),
        ("def f():\n" + " pass\n" * 60, [("f", "function")]),
        ("class A:\n" + " pass\n" * 250, [("A", "class")]),
    ],
)  # fmt: skip
def test_a_limit_is_told_from_what_is_within_it(code, found):
    assert list(over(ast.parse(code))) == found


def loaded_by(code: str, names: tuple[str, ...]) -> list[str]:
    """Return which of the named packages a fresh interpreter has loaded after some code."""
    program = (
        "import contextlib, io, sys\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    {code}\n"
        f"print(*[name for name in {names!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
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


def test_a_look_loads_no_use_case():
    looks = ", ".join(
        f"bakery.cli.{name}" for name in ("status", "tree", "models", "show", "diff", "target")
    )
    assert loaded_by(f"import {looks}", ("bakery.app.run", "bakery.app.making")) == []
