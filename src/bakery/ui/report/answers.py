"""The answers of a bake beside those of the prompted model, with every other word marked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from bakery.ui.report.markup import Child, Markup, cut, element, said
from bakery.verdict import SideBySide

LONGEST, LONGEST_QUESTION = 4_000, 1_000
"""Characters of an answer and of a question that are shown."""

MOST_WORDS = 600
"""Words of two answers together that are compared: the time grows with their product."""


def side_by_side(rows: Sequence[SideBySide]) -> list[Markup]:
    """Return each question with its three answers."""
    return [_row(row) for row in rows]


def _row(row: SideBySide) -> Markup:
    prompted, baked = cut(row.prompted, LONGEST), cut(row.baked, LONGEST)
    is_short = len(_WORD.findall(prompted)) + len(_WORD.findall(baked)) <= MOST_WORDS
    marked: tuple[Child, Child] = (prompted, baked)
    if is_short:
        marked = list(_marked(baked, prompted, "lost")), list(_marked(prompted, baked, "other"))
    return element(
        "article",
        said(row.question, most=LONGEST_QUESTION, kind="h3", class_="question"),
        element("p", f"differs: {cut(row.differs, 200)}", class_="chip bad")
        if row.differs
        else element("p", "as the prompted one", class_="chip good"),
        element(
            "div",
            _answer("base", "without the prompt", cut(row.base, LONGEST)),
            _answer("prompted", "what was to be learnt", marked[0]),
            _answer("baked", "what was learnt", marked[1]),
            class_="sides",
        ),
        None if is_short else element("p", "too long to compare word by word", class_="quiet"),
        class_="asked",
    )


def _answer(name: str, what: str, words: Child) -> Markup:
    return element(
        "div",
        element("h4", name, " ", element("small", what)),
        element("pre", words or element("em", "(nothing)"), class_="said", dir="auto"),
        class_=f"side {name}",
    )


def _marked(reference: str, answer: str, kind: str) -> Iterator[Child]:
    """Yield an answer in pieces: what is not in the reference at that place is marked."""
    for piece, differs in _pieces(reference, answer):
        if not differs:
            yield piece
            continue
        blank = piece[: len(piece) - len(piece.lstrip())]
        yield blank
        yield element("mark", piece[len(blank) :], class_=kind)


_WORD = re.compile(r"\s*(?:\w+|[^\w\s]|$)")
"""A word or a sign with the blanks before it: a comma more makes no other word of one."""


def _pieces(reference: str, answer: str) -> Iterator[tuple[str, bool]]:
    """Yield a text in pieces, each with whether it is not in the reference at that place."""
    old, new = _WORD.findall(reference), _WORD.findall(answer)
    before, now = [word.strip() for word in old], [word.strip() for word in new]
    matcher = difflib.SequenceMatcher(None, before, now, autojunk=False)
    for kind, _, _, start, end in matcher.get_opcodes():
        if start < end:
            yield "".join(new[start:end]), kind != "equal"
