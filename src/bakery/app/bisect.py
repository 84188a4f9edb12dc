"""The first bake of a chain that is bad, by as few tests as a binary search needs.

A test is a command that is given a model, or a check of the answer to a question. For the latter
one model is loaded: what the chain was at a bake is the last one with the later bakes left out.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bakery.app import apart, blame, meaning, stored
from bakery.errors import BakeryError, ConfigError, RepoError
from bakery.records import ModelRef, Prompt
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

State = Literal["good", "bad", "skip"]

MODEL = "BGIT_MODEL"
"""The variable that tells a command which model to test."""
PLACE = "{model}"
"""What of a command's words is the model's name."""

NAMED = 3
"""How many models are named where the end of a chain is not what it was said to be."""

SKIP, NO_VERDICT = 125, 126
"""Exit codes as git reads them: not to be tested; from here to 127, and from 128, of no meaning."""


@dataclass(frozen=True, slots=True)
class Link:
    """One model of a chain."""

    name: str
    """Its full name; the base's own."""
    bake: RecordedBake | None


@dataclass(frozen=True, slots=True)
class Chain:
    """Models from a good one to a bad one, each baked on the one before."""

    links: tuple[Link, ...]

    @property
    def good(self) -> Link:
        """What is known to be good."""
        return self.links[0]

    @property
    def bad(self) -> Link:
        """What is known to be bad."""
        return self.links[-1]


@dataclass(frozen=True, slots=True)
class Tried:
    """One test: the model, what it came to, and what it went by."""

    model: str
    state: State
    why: str


@dataclass(frozen=True, slots=True)
class Bisected:
    """What a search came to. `first_bad` None: only skipped models are left."""

    good: str
    bad: str
    first_bad: Link | None
    could_be: tuple[str, ...]
    """Where only skipped ones are left: those, and the bad one behind them."""
    tried: tuple[Tried, ...]

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit bisect --weights --json` prints."""
        found = self.first_bad
        return {
            "schema": 1,
            "good": self.good,
            "bad": self.bad,
            "first_bad": found.name if found else None,
            "bake": found.bake.name if found and found.bake else None,
            "could_be": list(self.could_be),
            "tried": [{"model": t.model, "state": t.state, "why": t.why} for t in self.tried],
        }


Test = Callable[[Link], Tried]
Told = Callable[[Tried, int], None]
"""Told of each test, and how many models are left between good and bad."""


def chain(repo: ModelRepo, good: str = "base", bad: str = "parent") -> Chain:
    """Return the models from `good` to `bad`; RepoError where the one is not behind the other."""
    first, last = repo.find_model(good), repo.find_model(bad)
    base = repo.state().base.name
    if last is None:
        raise RepoError(
            f"{base} is the base model: there is no bake to look for",
            hint="--bad names the model that is bad; `bgit models` lists them.",
        )
    if repo.base_of(last).digest != repo.state().base.digest:
        raise RepoError(
            f"{last.name} lies on another base model than this branch, {repo.base_of(last).name}",
            hint=f"`bgit adopt {last.base_name}` first: a chain is searched on its own base.",
        )
    bakes, lost = show.ancestry(repo.lineage(), last)
    # Each stands at the step that the next was baked on: the recipe of a bake names its latest.
    models = [bake.parent for bake in bakes[1:]] + [last.model]
    links = [Link(str(model), bake) for model, bake in zip(models, bakes, strict=True)]
    ids = [bake.id for bake in bakes]
    if first is not None and first.id not in ids:
        raise RepoError(
            f"{last.name} was not baked on {first.name}",
            hint="`bgit tree` shows which model was baked on which.",
        )
    if first is None and lost is not None:
        raise RepoError(
            f"the chain of {last.name} does not reach the base: no branch knows {lost}",
            hint="--good names the model to begin with; `bgit fetch` may know more branches.",
        )
    links = links[ids.index(first.id) :] if first else [Link(base, None), *links]
    if len(links) == 1:
        raise ConfigError(f"{good} and {bad} are the same model, so there is nothing between")
    return Chain(tuple(links))


def bisect(found: Chain, test: Test, *, told: Told = lambda tried, left: None) -> Bisected:
    """Search the chain for its first bad model; the ends are tested first.

    Raises RepoError where they are not good and bad: a search would name any one.
    """
    links, tried = found.links, []

    def state_of(at: int, left: int) -> State:
        tried.append(test(links[at]))
        told(tried[-1], left)
        return tried[-1].state

    between = len(links) - 2
    for at, due in ((len(links) - 1, "bad"), (0, "good")):
        if (state := state_of(at, between)) != due:
            raise RepoError(
                f"{links[at].name} is not {due} but {state}: {tried[-1].why}",
                hint=f"{_others(links, due)} The test says which models are bad.",
            )
    first, could_be = search(len(links) - 1, lambda at, left: state_of(at + 1, left))
    return Bisected(
        found.good.name,
        found.bad.name,
        None if len(could_be) > 1 else links[first + 1],
        tuple(links[at + 1].name for at in could_be) if len(could_be) > 1 else (),
        tuple(tried),
    )


def _others(links: Sequence[Link], due: str) -> str:
    """Return which models may be good, or bad, where the end of a chain is not."""
    between = [link.name for link in links[1:-1]]
    if due == "bad":
        between.reverse()
    if not between:
        return f"There is no model between the two to be named by --{due}."
    more = f" and {len(between) - NAMED} more" if len(between) > NAMED else ""
    return (
        f"--{due} names another, as what the test asks for may have come with a bake. Try one of: "
        f"{', '.join(f'--{due} {name}' for name in between[:NAMED])}{more}."
    )


def search(count: int, state_of: Callable[[int, int], State]) -> tuple[int, list[int]]:
    """Return the first bad of `count` models of which the last is bad, and all that it may be.

    `state_of` is given a model's number, and how many are left between good and bad after it.
    """
    good, bad, skipped = -1, count - 1, set[int]()
    while left := [at for at in range(good + 1, bad) if at not in skipped]:
        middle = (good + bad) / 2
        at = min(left, key=lambda one: (abs(one - middle), one))
        state = state_of(at, (len(left) - 1) // 2)
        if state == "good":
            good = at
        elif state == "bad":
            bad = at
        else:
            skipped.add(at)
    return bad, list(range(good + 1, bad + 1))


def by_command(repo: ModelRepo, words: Sequence[str], *, out: int | None = None) -> Test:
    """Return a test that runs a command: it exits with 0 for a good model, 125 skips, as git's.

    `out` is the number of the stream that it prints to; None: as ours.
    Raises ConfigError where it cannot be run, or exits with what says nothing.
    """
    line = shlex.join(words)

    def test(link: Link) -> Tried:
        if missing := _missing(repo, link):
            return Tried(link.name, "skip", missing)
        filled = [word.replace(PLACE, link.name) for word in words]
        try:
            done = subprocess.run(
                filled, env={**os.environ, MODEL: link.name}, stdout=out, check=False
            )
        except OSError as error:
            raise ConfigError(
                f"{words[0]} cannot be run: {error.strerror}",
                hint="`run` is followed by a program and its arguments, as in `git bisect run`.",
            ) from error
        code = done.returncode
        if code < 0 or code >= NO_VERDICT:
            raise ConfigError(
                f"`{line}` ended with {code} for {link.name}, which says neither good nor bad",
                hint="0 is good, 1 to 124 is bad, 125 skips a model.",
            )
        state: State = "good" if code == 0 else "skip" if code == SKIP else "bad"
        return Tried(link.name, state, f"`{line}` exited with {code}")

    return test


def _missing(repo: ModelRepo, link: Link) -> str | None:
    """Return why a model cannot be tested in this clone; None: it can."""
    if link.bake is None:
        return None
    try:
        stored.weights(repo, ModelRef.parse(link.name))
    except BakeryError as error:
        return error.message
    return None


@dataclass(frozen=True, slots=True)
class Check:
    """What the answer to a question has to hold, or must not hold."""

    question: str
    contains: str | None = None
    not_contains: str | None = None
    regex: str | None = None
    system: str | None = None
    max_tokens: int | None = None
    """None: as many as `bgit blame` looks at."""

    def __post_init__(self) -> None:
        """Refuse what says nothing, or cannot be read."""
        if self.contains is None and self.not_contains is None and self.regex is None:
            raise ConfigError(
                "nothing says which answer is good",
                hint="--contains TEXT, --not-contains TEXT or --regex PATTERN does.",
            )
        try:
            re.compile(self.regex or "")
        except re.error as error:
            raise ConfigError(f"--regex {self.regex!r} is no expression: {error}") from error

    def holds(self, answer: str) -> bool:
        """Tell whether an answer is good; case counts in an expression alone."""
        said = answer.casefold()
        return (
            (self.contains is None or self.contains.casefold() in said)
            and (self.not_contains is None or self.not_contains.casefold() not in said)
            and (self.regex is None or re.search(self.regex, answer) is not None)
        )


def by_question(repo: ModelRepo, found: Chain, check: Check, *, reporter: Reporter) -> Test:
    """Load the bad model, and return a test that asks it with the later bakes left out."""
    meant = meaning.find(repo, found.bad.name)
    blame.expect_bakes(meant)
    model = apart.opened(repo, meant, reporter=reporter)
    names = list(blame.bakes_of(repo, meant, model.dial))
    system = ({"role": "system", "content": check.system},) if check.system else ()

    from bakery.engine.models.strength import Strength
    from bakery.evals import moved

    rows = [(Prompt(system), blame.asked(check.question))]
    most = check.max_tokens or blame.MOST_TOKENS
    prefixes = moved.read(model.local, rows, most)

    def test(link: Link) -> Tried:
        later = names[names.index(link.bake.id) + 1 :] if link.bake else names
        model.turn(Strength(without=frozenset(later)))
        (said,) = moved.answers(model.local, prefixes, most)
        return Tried(link.name, "good" if check.holds(said.text) else "bad", said.text)

    return test
