"""recipe.yml: appended text, read fast, and never guessed at."""

from __future__ import annotations

import random

import pytest
import yaml

from bakery.errors import RepoError
from bakery.records import ModelRef
from bakery.repo.files import recipe
from bakery.repo.files.split import Shared
from bakery.yaml import text as yaml_text

NASTY = [
    "",
    " ",
    "yes",
    "1e-4",
    "12:30",
    "2030-01-01",
    "~",
    "- a",
    "a: b",
    "a # b",
    "'q\"",
    "one\ntwo",
    "one\n\n two\n",
    "\nx",
    " lead\nx",
    "trail \nx",
    "x\n\n\n",
    "tab\n\ty",
    "a\r\nb",
    "a\x85b\u2028c\ufeff",
    "日本語\n行 😀",
    "\x00\x7f",
    "<<<<<<< HEAD\n=======\n>>>>>>> x",
    "x\n    # >>> bake 0123456789abcdef\n    # <<< bake 0123456789abcdef\ny",
    "---\n...",
    "word " * 3000,
]


def model(number: int) -> ModelRef:
    return ModelRef("ann", "yoda", f"bake_{number:016x}", 12)


def result(teacher: str = "You are Yoda.", parent: ModelRef | None = None) -> dict[str, object]:
    return {
        "digest": "ab" * 32,
        "parent": {"model": str(parent), "digest": "cd" * 32} if parent else None,
        "targets": [
            {
                "name": f"t_{'a' * 16}",
                "id": "a" * 16,
                "stim_id": "b" * 16,
                "stimuli": 2,
                "trajectories": 8,
                "stimuli_digest": "1" * 64,
                "trajectories_digest": "2" * 64,
                "writers": {"tiny-1": 2},
                "teacher": {"messages": [{"role": "system", "content": teacher}]},
                "student": {"messages": []},
            }
        ],
        "training": {"r": 16},
        "notes": [teacher],
    }


def block(number: int, **extra: object) -> str:
    return recipe.block(result(**extra), model=model(number), input_blob="c" * 40)  # type: ignore[arg-type]


EMPTY = recipe.new("tiny-1")
TWO = recipe.append(recipe.append(EMPTY, block(1)), block(2, parent=model(1)))


@pytest.mark.parametrize(
    "card",
    [
        {"held_out": "x", "prompt_tokens_saved": 5.0},
        {"held_out": 1, "prompt_tokens_saved": float("nan")},
        {"held_out": 1, "prompt_tokens_saved": 10**400},
        {"held_out": 10**400, "prompt_tokens_saved": 5.0},
        {"held_out": 1, "prompt_tokens_saved": 5.0, "furthest": "x"},
        {"held_out": 1, "prompt_tokens_saved": 5.0, "furthest": [{"question": None}]},
        {"held_out": 1, "prompt_tokens_saved": 5.0, "verdict": "holds"},
        {"held_out": 1, "prompt_tokens_saved": 5.0, "verdict": {"word": "holds"}},
        {"held_out": 1, "prompt_tokens_saved": 5.0, "side_by_side": [{"question": "x"}]},
        {"held_out": 1, "prompt_tokens_saved": 5.0, "side_by_side": 3},
        {"held_out": 1, "prompt_tokens_saved": 5.0, "coverage": ["x"]},
    ],
)
def test_a_damaged_result_never_gets_into_the_recipe(card):
    damaged = result() | {"card": card}
    with pytest.raises(RepoError, match="is damaged: card cannot be") as caught:
        recipe.block(damaged, model=model(1), input_blob="c" * 40)
    assert "bgit run bake --force" in str(caught.value.hint)


def test_a_card_with_a_verdict_comes_back_as_it_was_written():
    card = {
        "held_out": 1, "prompt_tokens_saved": 5.0,
        "verdict": {"word": "holds", "reason": 'it says "a: b"', "figures": {"agreed": 1.0}},
        "side_by_side": [
            {"question": "q", "base": "", "prompted": "# p", "baked": "- b", "differs": "a name"}
        ],
    }  # fmt: skip
    whole = recipe.block(result() | {"card": card}, model=model(1), input_blob="c" * 40)
    (found,) = recipe.parse(recipe.append(EMPTY, whole))
    assert found.part("card") == card


KEPT = {
    "target": "t", "side": "ours", "questions": 7, "other": 1, "agreed_before": 1.0,
    "agreed": 0.9, "kl": 0.1, "worst": 2.0,
}  # fmt: skip
JOINED = {"how": "cat", "sides": [[str(model(7)), str(model(8))]], "kept": [KEPT]}


def test_a_bake_knows_whose_ranks_it_was_put_together_from():
    text = recipe.block({**result(), "joined": JOINED}, model=model(1), input_blob="c" * 40)
    (bake,) = recipe.parse(recipe.append(EMPTY, text))
    assert bake.joined_from == (model(7), model(8))
    assert bake.data["joined"] == JOINED
    assert recipe.read(model(2).bake_id, block(2)).joined_from == ()


@pytest.mark.parametrize(
    "change",
    [
        {"how": "sum"},
        {"sides": "x"},
        {"sides": ["x"]},
        {"sides": [["../../etc/passwd"]]},
        {"rank": -1},
        {"kept": 3},
        {"kept": [{**KEPT, "questions": "7"}]},
        {"kept": [{**KEPT, "kl": float("nan")}]},
        {"kept": [{"target": "t"}]},
    ],
    ids=str,
)
def test_a_sum_that_is_not_what_bgit_writes_is_refused(change):
    damaged = {**result(), "joined": {**JOINED, **change}}
    with pytest.raises(RepoError, match="is damaged: joined cannot be"):
        recipe.block(damaged, model=model(1), input_blob="c" * 40)


def test_a_new_recipe_has_no_bakes():
    assert recipe.parse(EMPTY) == []


def test_the_bakes_read_as_on_the_seed_page():
    assert (
        f"""\
resources:
  bakes:
    # >>> bake {1:016x}
    - bake_name: bake_{1:016x}
      model_names:
        - ann/yoda/bake_{1:016x}/12
"""
        in TWO
    )


def test_bakes_come_in_order_with_their_parents():
    one, two = recipe.parse(TWO)
    assert (one.model, one.parent) == (model(1), None)
    assert (two.model, two.parent) == (model(2), model(1))
    assert (two.id, two.base_name, two.input_blob) == (f"{2:016x}", "bake", "c" * 40)


def test_the_steps_are_numbered_from_prompt_to_bake():
    steps = recipe.parse(TWO)[0].data["steps"]
    assert [(s["step"], s["operation"]) for s in steps] == [
        (1, "add_prompt"),
        (2, "run_stim"),
        (3, "run_rollout"),
        (4, "bake"),
    ]


def test_the_whole_file_is_yaml_to_any_reader():
    document = yaml_text.plain(yaml_text.parse(TWO, "recipe.yml"))
    assert [b["bake_name"] for b in document["resources"]["bakes"]] == [
        model(1).bake,
        model(2).bake,
    ]
    assert document == yaml.safe_load(TWO)


def test_removing_what_was_appended_leaves_the_same_bytes():
    assert recipe.remove(TWO, [model(2).bake_id]) == recipe.append(EMPTY, block(1))
    assert recipe.remove(TWO, [model(1).bake_id, model(2).bake_id]) == EMPTY


def test_a_removed_block_leaves_the_others():
    assert [b.model for b in recipe.parse(recipe.remove(TWO, [model(1).bake_id]))] == [model(2)]


@pytest.mark.parametrize("text", NASTY)
def test_any_prompt_comes_back_as_it_was(text):
    written = recipe.append(TWO, block(3, teacher=text))
    data = recipe.parse(written)[2].data
    assert data["targets"][0]["teacher"]["messages"][0]["content"] == text
    assert data["notes"] == [text]


def test_any_mixture_of_signs_comes_back_as_it_was():
    draw = random.Random(7)
    for _ in range(100):
        text = "".join(draw.choices(" \n\t#:-'\"a1é😀\x85\u2028\r|>%{}[]&*!", k=8))
        assert recipe.read(f"{3:016x}", block(3, teacher=text)).data["notes"] == [text]


def test_several_lines_stay_readable():
    assert "content: |-\n                  Be kind.\n                  Be brief.\n" in block(
        1, teacher="Be kind.\nBe brief."
    )


def test_windows_line_ends_read_the_same():
    assert [b.model for b in recipe.parse(TWO.replace("\n", "\r\n"))] == [model(1), model(2)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TWO.replace("schema: 1", "schema: 2"), "schema 2; this bgit reads up to 1"),
        ("<<<<<<< HEAD\n" + TWO, "recipe.yml:1: a merge conflict"),
        (TWO.replace(f"    # <<< bake {1:016x}\n", ""), "is incomplete, or there twice"),
        (TWO + block(1), "is incomplete, or there twice"),
        (TWO + "    - bake_name: mine\n", "outside the blocks"),
        (TWO.replace("bake_name: bake_", "bake_name: other_", 1), "holds other_"),
        (TWO.replace("    - bake_name", "   - - bake_name", 1), "cannot be read"),
        (TWO + "steps: [\n", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_what_bgit_did_not_write_is_refused(text, says):
    with pytest.raises(RepoError, match=says) as caught:
        recipe.parse(text)
    assert caught.value.hint


def test_kept_steps_are_models_too_the_latest_first():
    """Their digests are beside them, and what a bake is called by is its last step."""
    kept = [{"step": 8, "digest": "88" * 32}, {"step": 4, "digest": "44" * 32}]
    text = recipe.block({**result(), "checkpoints": kept}, model=model(1), input_blob="c" * 40)
    (bake,) = recipe.parse(recipe.append(EMPTY, text))
    assert [known.step for known in bake.models] == [12, 8, 4]
    assert bake.model == model(1)
    assert [bake.digest_of(step)[:2] for step in (12, 8, 4)] == ["ab", "88", "44"]
    assert bake.data["steps"][-1]["model_names"] == [str(known) for known in bake.models]


@pytest.mark.parametrize(
    ("before", "after", "at"),
    [
        (f"stim_id: {'b' * 16}", "stim_id: ../../../../home/ann/.ssh", "stim_id"),
        (f"stim_id: {'b' * 16}", "stim_id: 5", "stim_id"),
        (f"        - name: t_{'a' * 16}\n          id:", "        - id:", "name"),
        ("stimuli: 2", "stimuli: [2]", "stimuli"),
        ("      teacher:\n", "      teachers:\n", "teacher"),
        ("messages: []", "messages: [5]", "student"),
        ("        r: 16", "        r: {}", "training"),
        ("      targets:\n", "      goals:\n", "targets"),
        ("        r: 16", "        r: 16\n      base: {name: tiny}", "base"),
        ("        r: 16", "        r: 16\n      loss: {first: 1, last: 2}", "loss"),
        ("        r: 16", "        r: 16\n      card: {held_out: 1, kl_after: 0.5}", "card"),
    ],
)
def test_an_entry_that_is_not_what_bgit_writes_is_named(before, after, at):
    assert before in block(1)
    edited = block(1).replace(before, after)
    (bake,) = recipe.parse(recipe.append(EMPTY, edited))
    with pytest.raises(RepoError, match=rf"bake_0000000000000001: .*{at}"):
        _ = bake.data


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ("[" * 60_000, "nested deeper than 100 levels"),
        ("- " * 60_000 + "x", "nested deeper than 100 levels"),
        ("[&a [x], *a]", "stands for another part"),
    ],
    ids=["flow", "block", "alias"],
)
def test_yaml_that_would_end_the_process_is_refused(notes, said):
    """Some readers overflow their stack, and that ends Python without a word."""
    edited = block(1).replace("        r: 16", f"        r: 16\n      extra:\n        {notes}\n")
    (bake,) = recipe.parse(recipe.append(EMPTY, edited))
    with pytest.raises(RepoError, match=said):
        _ = bake.data
    if "nested" in said:
        with pytest.raises(RepoError, match=said):
            recipe.parse(f"{EMPTY}\nextra:\n  {notes}\n")


@pytest.mark.parametrize("blob", ["HEAD:secret", '"a\\nb"', "$(id)", "--all", "../x"])
def test_what_git_is_asked_for_is_an_id(blob):
    edited = block(1).replace(f"input: {'c' * 40}", f"input: {blob}")
    assert edited != block(1)
    with pytest.raises(RepoError, match="input cannot be"):
        recipe.parse(recipe.append(EMPTY, edited))


MANY = recipe.append(TWO, block(3))
ALIKE = {
    "longer": [TWO, MANY],
    "shorter": [MANY, TWO, EMPTY],
    "the same": [MANY, MANY],
    "apart": [TWO, recipe.append(EMPTY, block(3)), MANY],
    "another header": [MANY, MANY.replace("tiny-1", "tiny-2"), MANY],
    "another prompt": [MANY, recipe.append(TWO, block(3, teacher="else")), MANY],
    "a comment between": [MANY, MANY.replace(block(2, parent=model(1)), "# mine\n" * 2), MANY],
    "a comment at the end": [TWO + "# mine\n", TWO, MANY],
    "windows": [MANY, MANY.replace("\n", "\r\n"), TWO + block(3).replace("\n", "\r\n")],
    "twice": [TWO, TWO + block(2, parent=model(1)), MANY],
    "torn": [TWO, MANY[:-40], MANY],
    "in conflict": [TWO, TWO + "<<<<<<< HEAD\n", TWO + block(3) + ">>>>>>> x\n", MANY],
}


def taken_apart(text: str, shared: Shared) -> object:
    try:
        header, numbers = shared.take_apart(text.encode(), "recipe.yml")
        return header, [shared.blocks[number] for number in numbers]
    except RepoError as error:
        return error.message


@pytest.mark.parametrize("name", ALIKE)
def test_recipes_that_begin_alike_are_read_as_each_would_be_alone(name):
    together = Shared()
    assert [taken_apart(text, together) for text in ALIKE[name]] == [
        taken_apart(text, Shared()) for text in ALIKE[name]
    ]
    assert len(set(together.blocks)) == len(together.blocks)


def test_a_bake_is_in_a_recipe_once():
    assert recipe.append(TWO, block(1)) == TWO
