"""Two texts word by word, as git's word diff has them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from bakery.repo.look.wording import hunks

MARKS = {"same": "{}", "old": "[-{}-]", "new": "{{+{}+}}"}


def marked(old: str, new: str) -> str:
    found = hunks(old, new)
    lines = ("".join(MARKS[p.kind].format(p.text) for p in line) for hunk in found for line in hunk)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("old", "new", "due"),
    [
        ("Be kind.", "Be kind.", ""),
        ("", "", ""),
        ("You are Crumb.", "You are Brine.", "You are [-Crumb.-]{+Brine.+}"),
        ("You are Crumb.", "You are kind Crumb.", "You are {+kind+} Crumb."),
        ("You are kind Crumb.", "You are Crumb.", "You are [-kind-] Crumb."),
        ("", "Hello", "{+Hello+}"),
        ("Hello", "", "[-Hello-]"),
        ("a b\nc", "a x\nc", "a [-b-]{+x+}\nc"),
        ("a\nb", "a\nb\nc d", "a\nb\n{+c d+}"),
        ("one two\nthree", "one two three four", "one two three {+four+}"),
    ],
)
def test_what_goes_and_comes_is_marked(old, new, due):
    assert marked(old, new) == due


def test_only_lines_near_a_change_are_shown():
    lines = [f"line {n}" for n in range(40)]
    changed = [*lines]
    changed[5], changed[30] = "other", "another"
    found = hunks("\n".join(lines), "\n".join(changed))
    assert [len(hunk) for hunk in found] == [7, 7]


def test_either_text_can_be_read_from_what_is_marked():
    rng = random.Random(0)
    for _ in range(200):
        old, new = (" ".join(rng.choices("abcde", k=rng.randint(1, 12))) for _ in range(2))
        if old == new:
            continue

        def side(kind: str, found: Any) -> list[str]:
            kept = (p.text for hunk in found for line in hunk for p in line)
            kinds = (p.kind for hunk in found for line in hunk for p in line)
            return " ".join(
                t for t, k in zip(kept, kinds, strict=True) if k in ("same", kind)
            ).split()

        found = hunks(old, new)
        assert (side("old", found), side("new", found)) == (old.split(), new.split())
