"""The tree of the page: lines of bakes, which go on to the current model, folded where many."""

from __future__ import annotations

from bakery.records import ModelRef
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.history.lineage import Branch, Lineage, Node
from bakery.web.lines import LARGE, LEAST, Fold, Line, Spot, line


def node(name: str, *children: Node, at: tuple[Branch, ...] = ()) -> Node:
    bake = f"{name}_{abs(hash(name)):016x}"[: len(name) + 17]
    return Node(RecordedBake(bake, (ModelRef("ann", "demo", bake, 9),), None, "0", "0", ""),
                at, children)  # fmt: skip


def place(name: str, *, current: bool = False) -> Branch:
    return Branch(name, ModelRef("ann", "demo", "b_0123456789abcdef", 9), is_current=current)


def chain(name: str, length: int, *, at: tuple[Branch, ...] = ()) -> Node:
    made = node(f"{name}{length}", at=at)
    for number in range(length - 1, 0, -1):
        made = node(f"{name}{number}", made)
    return made


def tree(*roots: Node) -> Line:
    return line(Lineage("tiny-1", None, (), roots, {}, ()))


def names(found: Line) -> list[object]:
    """Return the names of a line; a list is a line that leaves it, a number what is folded."""
    told: list[object] = []
    for part in found.parts:
        if isinstance(part, Fold):
            told.append(part.count)
            continue
        told.append(part.node.bake.base_name if part.node else "base")
        told += [names(side) for side in part.sides]
    return told


def test_a_line_goes_on_to_the_current_model_and_others_leave_it():
    here = (place("main", current=True),)
    assert names(tree(node("one", chain("long", 3), node("two", at=here)))) == [
        "base", "one", ["long1", "long2", "long3"], "two",
    ]  # fmt: skip


def test_a_line_goes_on_with_the_most_bakes_where_none_is_current():
    assert names(tree(node("one", node("two"), chain("long", 3)))) == [
        "base", "one", ["two"], "long1", "long2", "long3",
    ]  # fmt: skip


def test_roots_leave_the_base():
    assert names(tree(node("one"), chain("long", 2))) == ["base", ["one"], "long1", "long2"]
    assert names(tree()) == ["base"]


def test_of_many_bakes_only_what_is_of_note_is_shown():
    tip = (place("main", current=True),)
    trunk = chain("b", LARGE, at=tip)
    assert names(tree(trunk)) == ["base", LARGE - 1, f"b{LARGE}"]


def test_a_line_that_leaves_is_folded_whole_and_a_short_one_is_not():
    tip = (place("main", current=True),)
    trunk = chain("b", LARGE, at=tip)
    found = tree(node("fork", trunk, chain("s", LEAST), chain("t", LEAST - 1)))
    assert names(found)[:2] == ["base", "fork"]
    assert names(found)[2:4] == [[LEAST], [f"t{number}" for number in range(1, LEAST)]]
    fork = found.parts[1]
    assert isinstance(fork, Spot)
    folded = fork.sides[0].parts[0]
    assert isinstance(folded, Fold)
    assert folded.is_side
    assert folded.last.node is not None
    assert folded.last.node.bake.base_name == f"s{LEAST}"


def test_a_thousand_forks_are_nested_no_deeper_than_they_fork():
    made = node("end")
    for number in range(1000):
        made = node(f"n{number}", made, node(f"side{number}"))

    def depth(found: Line) -> int:
        within = [
            depth(one)
            for part in found.parts
            for one in ([part.line] if isinstance(part, Fold) else part.sides)
        ]
        return 1 + max(within, default=0)

    assert depth(tree(made)) == 2
