"""A prefix that was kept gives the logits of one that was not, and never those of another model."""

from __future__ import annotations

import random

import pytest
import torch

from bakery.engine.packed.prefixes import common
from bakery.engine.serving import batch as batches
from bakery.engine.serving.asking import Ask, Mix
from bakery.engine.serving.cache import Layers, PrefixCache
from bakery.identity import SamplingSettings
from tests.support.served import MODELS, World, finished, mix, opened

BEGIN = tuple(random.Random(0).choices(range(3, 256), k=90))
HOW = SamplingSettings(1, 6, temperature=0)
ONE, OTHER = Mix((("a", 1.0),)), Mix((("a", 0.5),))


def asked(key: str, model: Mix, tail: tuple[int, ...] = (7, 8, 9)) -> Ask:
    return Ask(key, (*BEGIN, *tail), HOW, model, top=259)


def same(ours, theirs) -> None:
    assert [t.id for t in ours] == [t.id for t in theirs]
    for one, other in zip(ours, theirs, strict=True):
        due = dict(other.top)
        assert max(abs(value - due[i]) for i, value in one.top) < 1e-4


def test_a_hit_says_what_a_miss_says_for_every_model(served: World):
    shelf, batch = opened(served)
    _, never = opened(served, cache=0)
    mixes = [mix(shelf, served, *model) for model in MODELS]
    for at, one in enumerate(mixes):
        batch.join(asked(f"{at}", one))
    finished(batch)
    for at, one in enumerate(mixes):  # others of the same beginning, and the same prompts again
        batch.join(asked(f"{at}", one, (40, 41)))
        batch.join(asked(f"{at} again", one))
        never.join(asked(f"{at}", one, (40, 41)))
        never.join(asked(f"{at} again", one))
    found, due = finished(batch), finished(never)
    for key in due:
        same(found[key], due[key])
        assert due[key][0].cached == 0
        assert found[key][0].cached >= len(BEGIN) + (2 if "again" in key else 0)
        assert found[key][1].cached == 0


def test_what_one_model_ran_is_not_given_to_another(served: World):
    shelf, batch = opened(served)
    batch.join(asked("first", mix(shelf, served, "third")))
    finished(batch)
    for name, strength in [(None, 1.0), ("second", 1.0), ("third", 0.5), ("third", 0.0)]:
        batch.join(asked("next", mix(shelf, served, name, strength)))
        cached = finished(batch)["next"][0].cached
        # At strength 0 the third bake is the second, which was there.
        assert cached == (len(BEGIN) + 2 if strength == 0 else 0)


def test_rows_that_begin_alike_run_it_once(served: World, monkeypatch: pytest.MonkeyPatch):
    shelf, batch = opened(served)
    _, never = opened(served, cache=0)
    ran = []
    run = batch._run

    def noted(pieces):
        ran.extend(pieces)
        return run(pieces)

    monkeypatch.setattr(batch, "_run", noted)
    for one in (batch, never):
        for i in range(4):
            one.join(asked(f"{i}", mix(shelf, served, "first"), (40 + i, 9)))
            one.join(asked(f"base {i}", Mix(), (40 + i, 9)))
        one.join(asked("again", Mix(), (41, 9)))
    found, due = finished(batch), finished(never)
    for key in due:
        same(found[key], due[key])
    assert sum(len(piece) for _, piece in ran) < 3 * len(BEGIN)
    ran.clear()
    for i in range(4):
        batch.join(asked(f"{i}", mix(shelf, served, "first"), (50 + i, 9)))
    batch.step()  # what is kept already is waited for by nobody
    assert [len(piece) for _, piece in ran] == [2] * 4
    assert len({id(row.behind) for row, _ in ran}) == 1


def test_a_long_prompt_is_run_in_pieces(served: World, monkeypatch: pytest.MonkeyPatch):
    shelf, whole = opened(served, cache=0)
    _, cut = opened(served, cache=0)
    wanted = [
        asked("row", mix(shelf, served, "third")),
        Ask("base", BEGIN[:50], HOW, top=259),
        Ask("echo", BEGIN[:40], HOW, mix(shelf, served, "first"), top=2, echo=True),
    ]
    for one in wanted:
        whole.join(one)
        cut.join(one)
    told, cut_told = [], []
    due = finished(whole, told)
    monkeypatch.setattr(batches, "MOST_TOKENS", 32)
    monkeypatch.setattr(batches, "MOST_ECHOED", 7 * 259)
    found = finished(cut, cut_told)
    for key in due:
        same(found[key], due[key])
    (echo,), (cut_echo,) = (
        [one for one in every if hasattr(one, "log_probs")] for every in (told, cut_told)
    )
    assert cut_echo.ids == echo.ids == BEGIN[:40]
    torch.testing.assert_close(
        torch.tensor(cut_echo.log_probs[1:]), torch.tensor(echo.log_probs[1:]), atol=1e-4, rtol=0
    )


def pieces(ids: tuple[int, ...]) -> list[Layers]:
    """What stands for keys and values: the ids themselves, one head of one number, 8 bytes each."""
    k = torch.tensor(ids, dtype=torch.float32)[None, :, None]
    return [{1: (part, part.clone())} for part in k.split(max(1, len(ids) // 2), dim=1)]


def test_the_cache_gives_the_longest_beginning_that_it_has():
    cache, draw = PrefixCache(1 << 20), random.Random(1)
    known: list[tuple[Mix, tuple[int, ...]]] = []
    for _ in range(300):
        model = draw.choice([ONE, OTHER])
        ids = tuple(draw.randrange(3) for _ in range(draw.randint(1, 12)))
        found = cache.find(model, ids)
        longest = max((common(ids[:-1], k) for m, k in known if m == model), default=0)
        assert (found.length if found else 0) == longest
        if found:
            assert found.layers[1][0].flatten().tolist() == list(ids[:longest])
        cache.keep(model, ids, pieces(ids))
        known.append((model, ids))


def test_the_cache_keeps_to_its_budget_and_what_was_used_last():
    cache, draw = PrefixCache(8 * 100), random.Random(2)
    hot = tuple(range(100, 130))
    for i in range(400):
        cache.keep(ONE, hot, pieces(hot))
        ids = tuple(draw.randrange(3) for _ in range(draw.randint(1, 30)))
        cache.keep(draw.choice([ONE, OTHER]), ids, pieces(ids))
        assert cache.size <= 8 * 100
        assert cache.find(ONE, (*hot, 1)).length == len(hot), i
    held = sum(8 * len(node.ids) for node in cache._used)
    assert held == cache.size
    cache.keep(OTHER, tuple(range(101)), pieces(tuple(range(101))))
    assert cache.find(OTHER, tuple(range(102))) is None or cache.size <= 8 * 100


def test_prompts_that_begin_alike_are_given_the_same_prefix():
    cache = PrefixCache(1 << 20)
    for tail in (4, 5):
        cache.keep(ONE, (1, 2, 3, tail, 9), pieces((1, 2, 3, tail, 9)))
    first, again = (cache.find(ONE, (1, 2, 3, 4, at)) for at in (6, 7))
    assert first is again
    assert first.length == 4
    assert cache.find(ONE, (1, 2, 3, 5, 6)) is not first
    cache.keep(ONE, (1, 2, 8), pieces((1, 2, 8)))
    split = cache.find(ONE, (1, 2, 3, 4, 6))
    assert split.layers[1][0].flatten().tolist() == [1, 2, 3, 4]
