"""Several targets in one bake: shares by weight, anchors, and a card of each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bakery import held_out
from bakery.card import Card, Fidelity, together
from bakery.defaults import times_for
from bakery.engine.text.views import Pair
from bakery.errors import StageError
from bakery.identity import BakeRequest, file_digest
from bakery.records import Prompt, Stimulus, Trajectory, read_rows
from bakery.stages import bake
from bakery.stages.mix import Mix, mix
from bakery.stages.parts import TargetData, length
from bakery.store import results
from tests.support.baking import NOTHING, SHOUT, Bench, training

WISE = Prompt(({"role": "system", "content": "Be wise."},))
BRIEF = Prompt(({"role": "system", "content": "Be brief."},))

Target = tuple[Prompt, Prompt, int, float]
"""Teacher, student, questions, weight."""


def prepared(bench: Bench, targets: Sequence[Target], **changes: Any) -> tuple[Any, list[Any]]:
    """Return the request of a bake over several targets, and their data."""
    data = []
    for number, (teacher, student, questions, weight) in enumerate(targets):
        (found,) = bench.prepare(teacher, student, questions, None)[1]
        share = replace(found.share, name=f"t{number}_{found.share.id}", weight=weight)
        data.append(TargetData(share, found.stim_dir, found.target_dir))
    shares = tuple(target.share for target in data)
    return BakeRequest(shares, training(**changes), bench.base_id, None, 4), data


def mixed(bench: Bench, *targets: Target, **changes: Any) -> tuple[Mix, list[int]]:
    """Return the mix, and how many pairs each target has in it."""
    request, data = prepared(bench, targets, **changes)
    base = bench.base()
    made = mix(data, base.chat, request.training, context=base.context)
    owners = [pair.key.split("/")[0] for pair in made.train]
    return made, [owners.count(target.share.id) for target in data]


def test_weights_are_proportions_whatever_they_sum_to(bench: Bench) -> None:
    targets = [(SHOUT, NOTHING, 20), (WISE, NOTHING, 20)]
    for weights in ((3.0, 1.0), (0.75, 0.25), (60, 20)):
        _, counts = mixed(bench, *[(*t, w) for t, w in zip(targets, weights, strict=True)])
        assert counts == [18, 6]  # 18 of 20 are not held out


def test_what_one_target_holds_out_no_other_trains_on(bench: Bench) -> None:
    made, _ = mixed(bench, (SHOUT, NOTHING, 200, 1.0), (WISE, NOTHING, 100, 1.0))
    trained, held = ({question(pair) for pair in pairs} for pairs in (made.train, made.held_out))
    assert len(held) > 20
    assert not trained & held
    (note,) = [note for note in made.notes if "holds their questions out" in note]
    assert note.startswith("t0_")
    (note,) = mixed(bench, (SHOUT, NOTHING, 40, 1.0), (WISE, NOTHING, 40, 1.0))[0].notes
    assert "holds their questions out" not in note


def test_questions_that_two_prompts_answer_are_told_of(bench: Bench) -> None:
    def notes(*targets: Target) -> list[str]:
        return mixed(bench, *targets)[0].notes

    (note,) = notes((SHOUT, NOTHING, 40, 1.0), (WISE, NOTHING, 40, 1.0))
    assert re.match(r"36 questions are answered by both t0_\w+ and t1_\w+: where their", note)
    assert not notes((SHOUT, NOTHING, 40, 1.0), (SHOUT, NOTHING, 40, 1.0))
    assert not notes((SHOUT, NOTHING, 40, 1.0), (WISE, BRIEF, 40, 1.0))


@pytest.mark.parametrize(
    ("written", "others", "least", "times"),
    [(4, 0, 3, 3), (4, 36, 3, 3), (4, 37, 3, 4), (4, 150, 3, 10), (0, 9, 3, 1), (4, 100, 1, 1)],
)
def test_few_questions_that_are_written_out_are_learnt_more_often(
    written: int, others: int, least: int, times: int
) -> None:
    assert times_for(written, others, least) == times


def test_what_input_yml_writes_out_is_learnt_as_often_as_is_said(bench: Bench) -> None:
    request, (data,) = prepared(bench, [(SHOUT, NOTHING, 12, 1.0)], hardcoded_times=3)
    base = bench.base()
    made = mix([data], base.chat, request.training, context=base.context)
    assert made.learnt == [pair for pair in made.train for _ in range(3)]
    assert len({pair.key for pair in made.train}) == len(made.train) == 11
    stimuli = data.stim_dir / results.STIMULI
    drawn = [replace(s, generator="persona") for s in read_rows(stimuli, Stimulus)]
    write(stimuli, drawn, data.stim_dir / results.DONE)
    made = mix([data], base.chat, request.training, context=base.context)
    assert made.learnt == made.train


def question(pair: Pair) -> str:
    return pair.key.split("/")[1]


def test_an_answer_that_the_model_was_not_made_for_is_left_out(bench: Bench) -> None:
    request, data = prepared(bench, [(SHOUT, NOTHING, 12, 1.0)])
    base = bench.base()
    whole = mix(data, base.chat, request.training, context=base.context)
    longest = max(length(pair) for pair in whole.train)
    made = mix(data, base.chat, request.training, context=longest - 1)
    assert max(length(pair) for pair in made.train) < longest
    (note,) = made.notes
    assert f"longer than the context of the base, {longest - 1} tokens" in note
    with pytest.raises(StageError) as caught:
        mix(data, base.chat, request.training, context=3)
    assert "lower TARGET.max_tokens" in str(caught.value.hint)


def test_all_that_the_weights_allow_is_taken_unless_a_total_is_given(bench: Bench) -> None:
    even = (SHOUT, NOTHING, 20, 1.0), (WISE, NOTHING, 10, 1.0)
    assert mixed(bench, *even)[1] == [9, 9]
    assert mixed(bench, *even, total_trajectories=6)[1] == [3, 3]
    with pytest.raises(StageError, match=r"total_trajectories is 20, but the answers there .* 18"):
        mixed(bench, *even, total_trajectories=20)


def test_shares_that_do_not_divide_still_add_up_to_the_total(bench: Bench) -> None:
    three = [(prompt, NOTHING, 20, 1.0) for prompt in (SHOUT, WISE, BRIEF)]
    assert mixed(bench, *three, total_trajectories=10)[1] == [4, 3, 3]


def test_a_share_that_comes_to_nothing_is_refused(bench: Bench) -> None:
    with pytest.raises(
        StageError, match=r"t1_\w+ has 0.99 % of the weights, which of 10"
    ) as caught:
        mixed(bench, (SHOUT, NOTHING, 20, 1.0), (WISE, NOTHING, 20, 0.01), total_trajectories=10)
    assert "Raise its weight or total_trajectories" in str(caught.value.hint)


def test_a_target_whose_answers_are_all_too_long_is_named(bench: Bench) -> None:
    long = Prompt(({"role": "system", "content": "Be wise. " * 20},))
    with pytest.raises(StageError, match=r"t1_\w+ has no answer to train on") as caught:
        mixed(bench, (SHOUT, NOTHING, 10, 1.0), (long, NOTHING, 10, 1.0), max_length=100)
    assert "10 are longer than BAKE.data.max_length, 100 tokens" in str(caught.value.hint)


def test_teacher_equal_to_student_is_told_as_an_anchor(bench: Bench) -> None:
    made, _ = mixed(bench, (SHOUT, NOTHING, 10, 1.0), (WISE, WISE, 10, 1.0))
    (note,) = made.notes
    assert re.fullmatch(
        r"t1_\w+: teacher equals student: an anchor that holds the parent still", note
    )
    assert [target.get("anchor") for target in made.targets] == [None, True]


def test_a_seed_of_the_data_draws_others(bench: Bench) -> None:
    targets = (SHOUT, NOTHING, 20, 1.0), (WISE, NOTHING, 20, 1.0)

    def drawn(**changes: Any) -> list[str]:
        return [p.key for p in mixed(bench, *targets, total_trajectories=8, **changes)[0].train]

    assert drawn() == drawn(data_seed=42)
    assert drawn() != drawn(data_seed=7)


def test_each_target_has_a_card_of_its_own(bench: Bench) -> None:
    request, data = prepared(
        bench, [(SHOUT, NOTHING, 30, 1.0), (WISE, WISE, 10, 0.4)], epochs=4, eval_share=0.2
    )
    base = bench.base()
    result = bake.run(
        request,
        data,
        bench.root / "bake" / request.id,
        base=base,
        model=base.model,
        parent=None,
        reporter=bench.reporter,
    )
    whole = result["card"]
    shout, anchor = (whole["targets"][target.share.name] for target in data)
    assert (whole["held_out"], shout["held_out"], anchor["held_out"]) == (8, 6, 2)
    assert whole["tokens"] == shout["tokens"] + anchor["tokens"]
    assert shout["kl_after"] < 0.8 * shout["kl_before"]
    assert anchor["kl_before"] == pytest.approx(0, abs=1e-6)
    assert anchor["kl_after"] > 1e-6
    assert (shout.get("anchor"), anchor["anchor"]) == (None, True)
    assert whole["kl_after"] * whole["tokens"] == pytest.approx(
        shout["kl_after"] * shout["tokens"] + anchor["kl_after"] * anchor["tokens"]
    )
    assert (shout["prompt_tokens_saved"], anchor["prompt_tokens_saved"]) == (16, 0)


def test_one_target_needs_no_card_beside_the_bakes(bench: Bench) -> None:
    assert "targets" not in bench.bake(epochs=1)["card"]


def test_what_several_parts_say_together_is_a_mean_over_tokens() -> None:
    parts = [Fidelity(1.0, 0.5, 30), Fidelity(0.0, 1.0, 10)]
    assert together(parts) == Fidelity(0.75, 0.625, 40)
    assert together(parts[:1]) is parts[0]
    assert together([]) is None


def test_where_there_was_no_gap_none_is_closed() -> None:
    def closed(before: float) -> Any:
        return Card.made(Fidelity(before, 1.0, 9), Fidelity(0.001, 1.0, 9), 20, 0).gap_closed

    assert closed(0.5) == pytest.approx(0.998)
    assert closed(0.005) is None


def write(path: Path, rows: Sequence[Any], done: Path) -> None:
    """Write rows, and their digest into what says that they are complete."""
    path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    done.write_text(json.dumps(json.loads(done.read_text()) | {"digest": file_digest(path)}))


@pytest.fixture
def answered(bench: Bench) -> Callable[..., Mix]:
    """Return the mix of 12 answers, of which the first `count` are made the same."""
    asked = [(SHOUT, NOTHING, 12, 1.0)]
    request, (data,) = prepared(bench, asked, leaves_out_endless=True)
    path, done = data.target_dir / results.TRAJECTORIES, data.target_dir / results.DONE
    answers, chat = read_rows(path, Trajectory), bench.base().chat
    stimuli = data.stim_dir / results.STIMULI

    def made(
        count: int,
        text: str,
        *,
        tokens: int,
        finish: str = "length",
        version: int = 2,
        generator: str = "persona",
    ) -> Mix:
        questions = [replace(s, generator=generator) for s in read_rows(stimuli, Stimulus)]
        write(stimuli, questions, data.stim_dir / results.DONE)
        ids = tuple(answers[0].response_ids[:1]) * tokens
        said = [replace(a, response_ids=ids, text=text, finish=finish) for a in answers]
        ended = [replace(a, finish="stop") for a in answers]
        rows = [*said[:count], *ended[count:]]
        write(path, rows, done)
        settings = request.training if version == 2 else training()
        return mix([data], chat, settings, context=500)

    return made


def learnt(made: Mix) -> int:
    return len(made.train) + len(made.held_out)


def test_answers_that_go_round_in_circles_are_left_out_and_counted(
    answered: Callable[..., Mix],
) -> None:
    around = "aye, " * 12
    made = answered(3, around, tokens=40)
    assert learnt(made) == 9
    assert "3 answers that did not end left out" in made.notes[0]
    assert learnt(answered(3, around, tokens=40, finish="stop")) == 12  # it came to an end
    assert learnt(answered(3, around, tokens=20)) == 12  # too short to tell
    assert learnt(answered(7, around, tokens=40)) == 12  # it is how this model speaks
    assert learnt(answered(3, around, tokens=40, version=1)) == 12


def test_the_one_answer_in_ten_that_does_not_end_is_left_out(answered: Callable[..., Mix]) -> None:
    on_and_on = "It was a fine day, and then"
    made = answered(1, on_and_on, tokens=20)
    assert learnt(made) == 11
    assert "1 answer that did not end left out" in made.notes[0]
    assert learnt(answered(2, on_and_on, tokens=20)) == 12  # more than one in ten: a short limit
    assert learnt(answered(1, on_and_on, tokens=20, finish="stop")) == 12
    assert learnt(answered(1, on_and_on, tokens=20, version=1)) == 12
    # What a person asks for may be long.
    assert learnt(answered(1, on_and_on, tokens=20, generator="hardcoded")) == 12
    assert learnt(answered(1, "aye, " * 12, tokens=40, generator="hardcoded")) == 11


def test_what_is_written_out_is_learnt_and_measured_where_nothing_is_held_out(bench: Bench) -> None:
    never = held_out.rule(spares_hardcoded=True, learns_hardcoded=True)
    targets = (SHOUT, NOTHING, 40, 1.0), (WISE, NOTHING, 40, 1.0)
    made, counts = mixed(bench, *targets, held_out=never)
    assert counts == [40, 40]
    assert made.held_out == []
    assert sorted(p.key for p in made.measured) == sorted(p.key for p in made.train)
    assert sum("measured on what is learnt" in note for note in made.notes) == 2


def test_what_is_to_be_held_out_is_by_no_target_learnt(bench: Bench) -> None:
    request, data = prepared(bench, [(SHOUT, NOTHING, 6, 1.0), (WISE, NOTHING, 6, 1.0)])
    rows = data[0].stim_dir / results.STIMULI
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    lines[0]["hold_out"] = True
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = data[0].stim_dir / results.DONE
    said = json.loads(done.read_text()) | {"digest": file_digest(rows)}
    done.write_text(json.dumps(said))
    base = bench.base()
    settings = replace(
        request.training,
        held_out=held_out.rule(spares_hardcoded=True, learns_hardcoded=True),
    )
    made = mix(data, base.chat, settings, context=base.context)
    assert {question(pair) for pair in made.held_out} == {lines[0]["id"]}
    assert lines[0]["id"] not in {question(pair) for pair in made.train}
