"""`bgit tree` as people read it: nested truly, within the width of the terminal."""

from __future__ import annotations

import json
import re

import pytest
from rich.console import Console

from bakery.records import ModelRef
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.history.lineage import Branch, Lineage, Node
from bakery.ui import tree as shown
from tests.support.former import SECOND, written
from tests.support.recorded import BASE


def bake(name: str, *steps: int) -> RecordedBake:
    models = tuple(
        ModelRef("ann", "demo", f"{name}_{'0123456789abcdef'}", s) for s in steps or (9,)
    )
    return RecordedBake(models[0].bake, models, None, "0", "0", "")


def node(
    name: str, *children: Node, at: tuple[Branch, ...] = (), steps: tuple[int, ...] = ()
) -> Node:
    return Node(bake(name, *steps), at, children)


def tree_of(*roots: Node, at_base: tuple[Branch, ...] = ()) -> Lineage:
    return Lineage("tiny-1", None, at_base, roots, {n.bake.id: n.bake for n in roots}, ())


def branch(name: str, step: int = 9, **more: bool) -> Branch:
    return Branch(name, ModelRef("ann", "demo", "b_0123456789abcdef", step), **more)  # type: ignore[arg-type]


@pytest.fixture(params=[1000, 80, 60])
def width(request, monkeypatch) -> int:
    monkeypatch.setattr(shown, "open_console", lambda: Console(width=request.param))
    return int(request.param)


def printed(capsys, lineage: Lineage) -> list[str]:
    shown.show_tree(lineage)
    return [re.sub("_0123456789abcdef", "", x) for x in capsys.readouterr().out.splitlines()]


def test_children_hang_below_the_one_they_were_baked_on(capsys):
    main, exp, tag = branch("main", is_current=True), branch("exp"), branch("v1", is_tag=True)
    tree = tree_of(
        node("one", node("two", at=(tag, main)), node("three", node("four", at=(exp,)))),
        at_base=(Branch("fresh", None),),
    )
    assert printed(capsys, tree) == [
        "tiny-1  [fresh]",
        "└── one/9",
        "    ├── two/9 *  [main]  <v1>",
        "    └── three/9",
        "        └── four/9  [exp]",
    ]


def test_more_models_of_a_bake_and_other_steps_of_it_are_marked(capsys):
    tree = tree_of(node("one", at=(branch("main", 6, is_current=True),), steps=(9, 6, 3)))
    assert printed(capsys, tree)[1] == "└── one/9 +2 *  [main at 6]"


def chain(length: int) -> Node:
    name = "a_bake_with_a_rather_long_name_number_"
    made = node(f"{name}{length}", at=(branch("main", is_current=True),))
    for number in range(length - 1, 0, -1):
        made = node(f"{name}{number}", made)
    return node("trunk", made, node("fork", at=(branch("experiment/with-a-long-name"),)))


def test_no_line_is_wider_than_the_terminal_and_every_model_has_one(capsys, width):
    shown.show_tree(tree_of(chain(20)))
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= width
    assert sum("/9" in line for line in lines) == 22
    assert sum(" *" in line and "/9" in line for line in lines) == 1
    assert ("in one column" in said.err) == (width < 1000)


def test_many_branches_at_one_model_are_counted(capsys):
    places = tuple(branch(f"b{number}") for number in range(9))
    assert printed(capsys, tree_of(node("one", at=places)))[1].endswith("[b5]  and 3 more")


def test_a_deep_history_is_shown_without_recursion(capsys):
    shown.show_tree(tree_of(chain(3000)))
    assert len(capsys.readouterr().out.splitlines()) > 3000


@pytest.fixture
def former(workplace) -> Lineage:
    return written(workplace / "yoda").lineage()


def test_what_another_tool_baked_stands_apart(capsys, former):
    lines = printed(capsys, former)
    assert lines[0] == "Qwen/Qwen3-32B"
    assert lines[2] == "baked by another tool; the weights are with the vendor:"
    assert lines[3].startswith("yoda_bake_")
    assert lines[4] == f"└── {SECOND}/180 +1 *  [main]"


def test_json_has_all_of_it(capsys, former):
    shown.show_tree(former, as_json=True)
    data = json.loads(capsys.readouterr().out)
    assert [bake["name"] for bake in data["former"]][1] == SECOND
    assert data["base"] != BASE.name
