"""Which bake of a chain moves an answer: each is left out of the weights in turn.

What is left is what the others do together, exactly: no other model is trained. It is not what
would have come of a chain without that bake, as the later ones were trained on top of it, and may
lean on it for how they say a thing. So behind an answer is, of the bakes without which another one
is given, whose going moves it most (`tools/planted_culprits.py`; docs/log.md has the table).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bakery.app import apart, chat, meaning
from bakery.errors import ConfigError
from bakery.plain import plain
from bakery.records import Message, Prompt
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.engine.models.strength import Dial
    from bakery.evals.moved import Moved
    from bakery.evals.sides import Said

MOST_TOKENS = 64
"""Of an answer, where nobody says how long."""

NOTHING = 0.001
"""Nats per token: who moves an answer by less does not move it."""

AT_ONCE = 8
"""Questions whose answers are kept as what the head read."""


@dataclass(frozen=True, slots=True)
class Without:
    """One answer where a bake, or all of them, is left out.

    The divergence is KL(as baked ‖ without), in nats, over the tokens of the answer as baked.
    """

    bake: str
    answer: str
    is_cut: bool
    kl: float
    """The mean over the tokens."""
    worst: float
    """At the token where it is most."""
    is_same: bool
    """Whether the answer is the same, token for token."""


@dataclass(frozen=True, slots=True)
class Traced:
    """One question: the answer, and what it would be without each bake, the oldest first."""

    question: str
    answer: str
    is_cut: bool
    tokens: int
    without: tuple[Without, ...]
    without_all: Without
    """What the base says."""

    @property
    def by(self) -> Without | None:
        """The bake behind it; None: it is the base's own."""
        most = max(self.without, key=lambda row: (not row.is_same, row.kl))
        return most if most.kl >= NOTHING else None


@dataclass(frozen=True, slots=True)
class Blame:
    """What was asked, and which bake of the model is behind the answers."""

    model: str
    bakes: tuple[str, ...]
    traced: tuple[Traced, ...]

    @property
    def behind(self) -> dict[str, int]:
        """How many of the answers each bake is behind."""
        named = [one.by.bake for one in self.traced if one.by]
        return {bake: named.count(bake) for bake in self.bakes}

    @property
    def culprit(self) -> str | None:
        """The bake behind most of the answers; None: they are the base's own.

        Where two are behind as many, it is the one that moves them more.
        """
        moved = dict.fromkeys(self.bakes, 0.0)
        for one in self.traced:
            if one.by:
                moved[one.by.bake] += one.by.kl
        bake = max(self.bakes, key=lambda name: (self.behind[name], moved[name]))
        return bake if self.behind[bake] else None

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit blame --weights --json` prints."""
        rows = [{**plain(one), "culprit": one.by.bake if one.by else None} for one in self.traced]
        return {
            "schema": 1,
            "model": self.model,
            "culprit": self.culprit,
            "behind": self.behind,
            "questions": rows,
        }


def blame(
    repo: ModelRepo | None,
    model: str,
    questions: Sequence[str],
    *,
    system: str | None = None,
    max_tokens: int | None = None,
    reporter: Reporter,
) -> Blame:
    """Ask a model with all of its bakes, and without each.

    Raises ConfigError where it carries none, or is not of bakes that are told apart.
    """
    if not all(text.strip() for text in questions):
        raise ConfigError("a question is empty, so no bake is behind its answer", hint="Ask one.")
    meant = meaning.find(repo, model)
    meaning.as_baked(meant, "blame")
    expect_bakes(meant)
    found = apart.opened(repo, meant, reporter=reporter)
    names = bakes_of(repo, meant, found.dial)
    prompt = Prompt(({"role": "system", "content": system},)) if system else Prompt()
    rows = [(prompt, asked(text)) for text in questions]
    traced: list[Traced] = []
    for start in range(0, len(rows), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        looked = _Look(found, names, max_tokens or MOST_TOKENS, reporter)
        traced += looked.at(questions[part], rows[part])
    return Blame(meant.name, tuple(names.values()), tuple(traced))


def asked(text: str) -> tuple[Message, ...]:
    """Return a question as a conversation begins with it."""
    return ({"role": "user", "content": text},)


def expect_bakes(meant: meaning.Meant) -> None:
    """Refuse a model that has no bakes to leave out, before it is loaded."""
    from bakery.engine.models.adapter_folder import SLICES

    if meant.folder is None or not (meant.folder / SLICES).is_file():
        raise _nothing_to_leave_out(meant)


def _nothing_to_leave_out(meant: meaning.Meant) -> ConfigError:
    what = "carries no bake" if meant.folder is None else "does not say whose its ranks are"
    return ConfigError(
        f"{meant.name} {what}, so there is none to leave out",
        hint="Name a model that was baked here: `bgit models` lists them.",
    )


def bakes_of(repo: ModelRepo | None, meant: meaning.Meant, dial: Dial | None) -> dict[str, str]:
    """Return the bakes that a model is made of, oldest first: ids, and what they are called."""
    if dial is None or not dial.bakes:
        raise _nothing_to_leave_out(meant)
    known = repo.lineage().bakes if repo else {}
    return {one: known[one].name if one in known else one for one in dial.bakes}


@dataclass(frozen=True, slots=True)
class _Look:
    """A model in memory, whose bakes are left out one after the other."""

    model: chat.Opened
    names: dict[str, str]
    max_tokens: int
    reporter: Reporter

    def at(self, questions: Sequence[str], rows: Any) -> Iterator[Traced]:
        """Yield what became of each question."""
        from bakery.engine.models.strength import AS_BAKED, Strength
        from bakery.evals import moved

        dial, local = self.model.dial, self.model.local
        assert dial is not None
        ids = list(self.names)
        ways = [frozenset({one}) for one in ids]
        every = frozenset(ids)
        prefixes = moved.read(local, rows, self.max_tokens)
        dial.turn(AS_BAKED)
        heard = moved.hear(local, prefixes, self.max_tokens)
        apart: dict[frozenset[str], list[Moved]] = {}
        said: dict[frozenset[str], list[Said]] = {}
        todo = list(dict.fromkeys([*ways, every]))
        for done, without in enumerate(todo):
            self.reporter.progress("leaving out", done, len(todo))
            dial.turn(Strength(without=without))
            apart[without] = moved.moved(local, heard)
            said[without] = moved.answers(local, prefixes, self.max_tokens)
        dial.turn(AS_BAKED)
        self.reporter.progress("leaving out", len(todo), len(todo))
        for at, (question, whole) in enumerate(zip(questions, heard.said, strict=True)):

            def row(name: str, one: frozenset[str], at: int = at, ids: Ids = whole.ids) -> Without:
                now, far = said[one][at], apart[one][at]
                return Without(name, now.text, now.is_cut, far.kl, far.worst, now.ids == ids)

            yield Traced(
                question,
                whole.text,
                whole.is_cut,
                len(whole.ids),
                tuple(row(name, one) for name, one in zip(self.names.values(), ways, strict=True)),
                row(local.base.id.name, every),
            )


Ids = tuple[int, ...]
