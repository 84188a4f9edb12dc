"""What bgit's driver makes of two sides: no bake is lost or doubled, one model is current."""

from __future__ import annotations

import random

import pytest

from bakery.records import ModelRef
from bakery.repo.commits import merging
from bakery.repo.files import recipe, state
from tests.support.recorded import BASE


def ref(number: int) -> ModelRef:
    return ModelRef("ann", "yoda", f"b_{number:016x}", 1)


def block(number: int, parent: int | None = None, digest: str = "0") -> str:
    link = {"model": str(ref(parent)), "digest": "0"} if parent is not None else None
    result = {"digest": digest, "parent": link, "targets": [], "training": {"r": 16}}
    return recipe.block(result, model=ref(number), input_blob="0")


def of(*blocks: str) -> str:
    return recipe.new("tiny-1") + "".join(blocks)


def merged_ids(base: str, ours: str, theirs: str) -> list[int]:
    done = merging.merge("recipe.yml", base, ours, theirs)
    assert "<<<<<<<" not in done.text
    return [int(bake.id, 16) for bake in recipe.parse(done.text)]


ONE = block(1)


def test_a_recipe_becomes_the_union_ours_first():
    ours, theirs = of(ONE, block(2, 1)), of(ONE, block(3, 1), block(4, 3))
    assert merged_ids(of(ONE), ours, theirs) == [1, 2, 3, 4]


def test_a_bake_made_on_both_sides_is_there_once():
    assert merged_ids(of(), of(ONE, block(2, 1)), of(ONE, block(3, 1))) == [1, 2, 3]


def test_what_one_side_took_back_is_gone():
    assert merged_ids(of(ONE, block(2, 1)), of(ONE), of(ONE, block(2, 1), block(5))) == [1, 5]


def test_what_the_other_side_has_baked_on_since_comes_back_and_is_named():
    base, ours, theirs = of(ONE), of(), of(ONE, block(2, 1))
    done = merging.merge("recipe.yml", base, ours, theirs)
    assert [bake.model for bake in recipe.parse(done.text)] == [ref(1), ref(2)]
    assert done.is_clean
    assert f"{ref(1).bake} comes along: what is merged was baked on it" in done.notes[0]


def test_what_the_other_side_took_back_and_ours_has_baked_on_is_for_a_person_to_decide():
    done = merging.merge("recipe.yml", of(ONE), of(ONE, block(2, 1)), of())
    assert [bake.model for bake in recipe.parse(done.text)] == [ref(1), ref(2)]
    assert not done.is_clean
    assert "`git add recipe.yml` accepts that" in done.notes[0]


def test_a_picked_bake_brings_what_it_was_baked_on():
    base = of(ONE, block(2, 1))
    assert merged_ids(base, of(block(9)), of(ONE, block(2, 1), block(3, 2))) == [9, 1, 2, 3]


def test_whatever_both_sides_did_no_bake_is_lost_doubled_or_before_its_parent():
    draw = random.Random(11)
    parents = {n: draw.choice([None, *range(max(n - 4, 1), n)]) for n in range(1, 25)}
    texts = {n: block(n, parent) for n, parent in parents.items()}

    def closed(numbers: set[int]) -> set[int]:
        return numbers | {
            p for n in numbers for p in closed({q for q in [parents[n]] if q}) if numbers
        }

    def side(before: set[int]) -> list[int]:
        taken = {n for n in before if draw.random() < 0.2}
        kept = {n for n in before if not closed({n}) & taken}
        return sorted(kept | closed({n for n in parents if draw.random() < 0.2} - taken) - taken)

    for _ in range(200):
        base = closed({n for n in parents if draw.random() < 0.3})
        ours, theirs = side(base), side(base)
        found = merged_ids(*(of(*(texts[n] for n in x)) for x in (sorted(base), ours, theirs)))
        assert len(found) == len(set(found))
        gone = {n for n in base if (n in ours) != (n in theirs)}
        wanted = (set(ours) | set(theirs)) - gone
        assert wanted <= set(found) <= wanted | gone
        for n in found:
            assert parents[n] not in found[found.index(n) :]
            assert parents[n] is None or parents[n] in found or parents[n] not in {*ours, *theirs}


def test_text_between_blocks_stays_where_it_was():
    ours = of(ONE) + "    # mine\n" + block(2, 1)
    done = merging.merge("recipe.yml", of(ONE), ours, of(ONE, block(3, 1)))
    assert done.text == ours + block(3, 1)


def test_text_that_the_other_side_added_comes_along():
    theirs = of(ONE, block(3, 1)).replace("schema: 1\n", "schema: 1\n# theirs\n")
    done = merging.merge("recipe.yml", of(ONE), of(ONE, block(2, 1)), theirs)
    assert "# theirs\n" in done.text
    assert [int(b.id, 16) for b in recipe.parse(done.text)] == [1, 2, 3]


def test_two_machines_weights_of_one_bake_are_named():
    done = merging.merge("recipe.yml", of(), of(block(1, None, "a")), of(block(1, None, "b")))
    assert "has other weights on each side: ours are recorded" in done.notes[0]
    assert recipe.parse(done.text)[0].digest == "a"


def test_windows_line_ends_are_no_difference():
    theirs = of(ONE, block(3, 1)).replace("\n", "\r\n")
    assert merged_ids(of(ONE), of(ONE, block(2, 1)), theirs) == [1, 2, 3]


@pytest.mark.parametrize(
    "broken", ["<<<<<<< x\n", "resources: [\n", "\udcff", "when: 2030-99-99\n"]
)
@pytest.mark.parametrize("path", ["recipe.yml", ".bread"])
def test_a_file_that_cannot_be_read_is_an_ordinary_conflict(path, broken):
    done = merging.merge(path, of(ONE), of(ONE, block(2, 1)), broken)
    assert not done.is_clean
    assert len(done.notes) == 1
    assert path in done.notes[0]
    assert broken in done.text


@pytest.mark.parametrize("path", [".bread", "recipe.yml", "input.yml"])
def test_binary_data_is_a_conflict_too(path):
    done = merging.merge(path, "", "BAKE: 1\n", "BAKE: \x00")
    assert (done.is_clean, done.text) == (False, "BAKE: 1\n")


def bread(parent: int, name: str = "yoda") -> str:
    return state.new(state.State("ann", name, BASE, ref(parent)))


def test_the_model_of_the_side_that_changed_it_is_taken():
    done = merging.merge(".bread", bread(1), bread(1, "luke"), bread(2))
    assert (done.is_clean, done.notes) == (True, ())
    now = state.parse(done.text)
    assert (now.name, now.parent) == ("luke", ref(2))


def test_of_two_models_ours_stays_and_the_way_to_theirs_is_said():
    done = merging.merge(".bread", bread(1), bread(2), bread(3))
    assert done.is_clean
    assert state.parse(done.text).parent == ref(2)
    assert (
        f"`bgit merge --weights` and the same branch adds the weights of {ref(3)}" in done.notes[0]
    )
    assert f"`bgit adopt {ref(3).bake}` takes them instead" in done.notes[0]


def test_another_key_that_both_changed_is_a_conflict():
    done = merging.merge(".bread", bread(1), bread(1, "luke"), bread(2, "leia"))
    assert not done.is_clean


ACTIVE, OTHER, BAKED = "BAKE:\n  name: a\n", "BAKE:\n  name: b\n", "# BAKE:\n#   name: z\n"


@pytest.mark.parametrize(
    ("ours", "theirs", "result"),
    [
        (BAKED, ACTIVE, ACTIVE),
        (ACTIVE, BAKED, ACTIVE),
        (BAKED, "# something else\n", BAKED),
        ("# BAKE:\n#   name: a\n", ACTIVE, "# BAKE:\n#   name: a\n"),
        (ACTIVE, "# BAKE:\n#   name: a\n", "# BAKE:\n#   name: a\n"),
    ],
)
def test_the_configuration_is_taken_that_is_still_to_be_baked(ours, theirs, result):
    done = merging.merge("input.yml", "", ours, theirs)
    assert (done.is_clean, done.text) == (True, result)


def test_two_configurations_are_a_conflict():
    done = merging.merge("input.yml", BAKED, ACTIVE, OTHER)
    assert not done.is_clean
    assert "<<<<<<< ours" in done.text
