"""What many sequences begin with is found, and run as seldom as possible."""

from __future__ import annotations

from bakery.engine.packed.prefixes import Group, Prefixes, grouped

SYSTEM, HISTORY, OTHER = tuple(range(200)), tuple(range(300, 500)), tuple(range(600, 800))


def beginnings(sequences: list[tuple[int, ...]]) -> dict[tuple[int, ...], set[int]]:
    return {sequences[g.members[0]][: g.shared]: set(g.members) for g in grouped(sequences)}


def test_one_prefix_for_all_is_found() -> None:
    sequences = [(*SYSTEM, 900 + i, 1) for i in range(5)]
    assert beginnings(sequences) == {SYSTEM: {0, 1, 2, 3, 4}}


def test_rows_with_their_own_histories_are_grouped_by_them() -> None:
    sequences = [(*h, 900 + i, 1) for i, h in enumerate([HISTORY, OTHER, HISTORY, OTHER])]
    assert beginnings(sequences) == {HISTORY: {0, 2}, OTHER: {1, 3}}


def test_the_last_token_is_never_shared() -> None:
    assert beginnings([SYSTEM, (*SYSTEM, 1), (*SYSTEM, 2)]) == {SYSTEM[:-1]: {0, 1, 2}}


def test_a_beginning_that_saves_little_is_not_run_by_itself() -> None:
    assert grouped([(1, 2, 3, 4), (1, 2, 3, 5)]) == [Group((0, 1), 0)]


def test_equal_sequences_stay_together() -> None:
    sequences = [(*SYSTEM, 1), (*SYSTEM, 2), (*SYSTEM, 1)]
    assert beginnings(sequences) == {SYSTEM: {0, 1, 2}}


def test_nothing_is_grouped_into_nothing() -> None:
    assert grouped([]) == []


def test_a_few_at_a_time_get_the_prefixes_of_all() -> None:
    everything = [(*h, 900 + i, 1) for i, h in enumerate([HISTORY, OTHER, HISTORY, OTHER])]
    prefixes = Prefixes(everything)
    found = prefixes.groups([(*OTHER, 7, 7), (*HISTORY, 7), (*OTHER, 8)])
    assert sorted(found, key=lambda g: g.members) == [Group((0, 2), 200), Group((1,), 200)]
