"""The four sides of a bake are one model, and each says what it says by itself."""

from __future__ import annotations

from dataclasses import replace
from math import log
from pathlib import Path
from statistics import fmean

import pytest

from bakery.backends.local import LocalModel
from bakery.engine.loss.readout import Readout
from bakery.engine.models.strength import Dial
from bakery.engine.text.views import view
from bakery.errors import ConfigError
from bakery.evals import distances
from bakery.evals.distances import SURE
from bakery.evals.sides import SIDES, Said, Side, of_bake
from bakery.records import Message, Prompt
from tests.support.baking import NOTHING, SHOUT, Bench

QUESTIONS: list[tuple[Message, ...]] = [
    ({"role": "user", "content": text},) for text in ("q1 what?", "q2 why?", "q3 who?")
]


@pytest.fixture
def chain(bench: Bench) -> tuple[Path, Path]:
    """The folders of two bakes, the second on top of the first."""
    first = bench.bake(epochs=6)
    second = bench.bake(teacher=Prompt(({"role": "system", "content": "Sing."},)), parent=first)
    return Path(first["folder"]), Path(second["folder"])


def said_by(bench: Bench, folder: Path | None, prompt: Prompt) -> list[Said]:
    local = LocalModel(bench.base(), parent=folder)
    return of_bake(local, None, prompt, prompt).say("baked", QUESTIONS, 8)


def test_each_side_says_what_it_says_by_itself(bench: Bench, chain: tuple[Path, Path]) -> None:
    first, second = chain
    local = LocalModel(bench.base(), parent=second)
    sides = of_bake(local, Dial(local.model, second), SHOUT, NOTHING)
    found = {side: sides.say(side, QUESTIONS, 8) for side in SIDES}
    alone: dict[Side, list[Said]] = {
        "base": said_by(bench, None, NOTHING),
        "prompted": said_by(bench, first, SHOUT),
        "parent": said_by(bench, first, NOTHING),
        "baked": said_by(bench, second, NOTHING),
    }
    assert found == alone
    assert len({tuple(one.ids for one in answers) for answers in found.values()}) > 1
    assert all(len(one.ids) <= 8 for answers in found.values() for one in answers)
    assert sides.say("baked", QUESTIONS, 8) == found["baked"]  # turned back


def test_what_does_not_fit_the_context_is_refused(bench: Bench) -> None:
    local = LocalModel(bench.base())
    with pytest.raises(ConfigError, match="has a context of"):
        of_bake(local, None, SHOUT, NOTHING).say("baked", QUESTIONS, 1 << 20)


def test_what_was_heard_of_an_answer_is_what_is_read_along_it(
    bench: Bench, chain: tuple[Path, Path]
) -> None:
    local = LocalModel(bench.base(), parent=chain[1])
    readout = Readout(local.model)
    sides = of_bake(local, None, SHOUT, SHOUT)
    said = sides.say("baked", QUESTIONS, 8, readout=readout)
    assert said == sides.say("baked", QUESTIONS, 8)
    chat = local.base.chat
    prefixes = [chat.prefix_ids(SHOUT, messages) for messages in QUESTIONS]
    views = [view(prefix, one.ids) for prefix, one in zip(prefixes, said, strict=True)]
    again = distances.along(local.model, readout, views, [replace(s, features=None) for s in said])
    for one, begun, read in zip(
        said, distances.along(local.model, readout, views, said), again, strict=True
    ):
        assert one.features is not None
        assert len(one.features) == len(one.ids)
        assert begun.each == pytest.approx(read.each, abs=1e-4)
        assert begun.hesitant == fmean(value < log(SURE) for value in begun.each)
        assert [key for key, _ in begun.first] == [key for key, _ in read.first]
    wrong = [replace(one, features=one.features + 1) for one in said]  # type: ignore[operator]
    assert distances.along(local.model, readout, views, wrong)[0].each != pytest.approx(
        again[0].each, abs=1e-3
    )
