"""Each command is let be once, and then killed at random moments and typed again until it ends.

What is there in the end has to be what is there where nobody killed anything.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.attack.endpoints.server import completion, meant, send, serve
from tools.attack.kills import processes
from tools.attack.kills.scenarios import SCENARIOS, Scenario
from tools.attack.kills.state import State, of_repository
from tools.attack.verdicts import Outcome
from tools.attack.workplace import Material

COUNT = sum(scenario.kills for scenario in SCENARIOS.values())

QUICK = ("adopt", "revert", "import", "download")
"""Commands that train nothing: a few kills are of these."""

KEY = "sk-attack"
"""What a hosted model is asked with."""

TIMES_TWICE = 0.25
"""The share of cases in which what goes on is killed once more: a case is one kill or two."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A command that nobody killed: how long it took, what it left, and how a second one ends."""

    seconds: float
    state: State
    codes: tuple[int, int]


def cases(count: int | None = None, *, seed: int = 0, only: Sequence[str] = ()) -> list[str]:
    """Return so many cases, shared among the commands as a whole campaign is."""
    chosen = {n: s.kills for n, s in SCENARIOS.items() if not only or n in only}
    if count is not None and count < len(chosen):
        each = count // len(QUICK)
        return [f"{name}:{seed + number}" for name in QUICK for number in range(each)]
    share = 1.0 if count is None else count / sum(chosen.values())
    return [
        f"{name}:{seed + number}"
        for name, kills in chosen.items()
        for number in range(max(1, round(kills * share)))
    ]


def prepare(material: Material, folder: Path) -> Callable[[str], Outcome]:
    """Return what tries one case; what a command leaves is found out when it is first met."""
    known: dict[str, Whole] = {}

    def trial(case: str) -> Outcome:
        name = case.partition(":")[0]
        scenario = SCENARIOS[name]
        if name not in known:
            known[name] = _whole(scenario, material, folder / f"{name}-ready", folder / "place")
        place = _placed(folder / f"{name}-ready", folder / "place")
        with _served(scenario):
            return _killed(case, scenario, material, place, known[name])

    return trial


def _whole(scenario: Scenario, material: Material, ready: Path, place: Path) -> Whole:
    """Prepare what every case begins from, and run the command on a copy, twice."""
    ready.mkdir()
    with _served(scenario):
        scenario.prepare(material, ready)
        _placed(ready, place)
        cwd = _cwd(place)
        _typed(scenario.before, cwd)
        first = processes.run(_words(scenario.words, material), cwd)
        if first.code:
            raise RuntimeError(f"{scenario.words} fails where nobody kills it: {first.said}")
        state = _state(scenario, place)
        second = processes.run(_words(scenario.again or scenario.words, material), cwd)
        _typed(scenario.then, cwd)
    if scenario.then:
        state = _state(scenario, place)
    return Whole(first.seconds, state, (first.code, second.code))


@contextmanager
def _served(scenario: Scenario) -> Iterator[None]:
    """Let there be a hosted model, where a command asks one."""
    if not scenario.asks:
        yield
        return
    with serve(lambda request, to: send(to, completion(meant(request)))) as server:
        os.environ.update(OPENAI_BASE_URL=server.url, OPENAI_API_KEY=KEY)
        try:
            yield
        finally:
            del os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]


def _typed(commands: Sequence[tuple[str, ...]], cwd: Path) -> None:
    for words in commands:
        ended = processes.run(words, cwd)
        if ended.code:
            raise RuntimeError(f"{words} fails: {ended.said}")


def _placed(ready: Path, place: Path) -> Path:
    """Put a copy at the one place where everything happens: paths are part of some results."""
    for left in (place, place.with_name(f"{place.name}.log")):
        if left.exists():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    shutil.copytree(ready, place, symlinks=True)
    return place


def _cwd(place: Path) -> Path:
    demo = place / "demo"
    return demo if demo.is_dir() else place


def _words(words: tuple[str, ...], material: Material) -> list[str]:
    return [word.format(base=material.base) for word in words]


def _state(scenario: Scenario, place: Path) -> State:
    return of_repository(place / "demo", tuple(place / name for name in scenario.outputs))


def _killed(
    case: str, scenario: Scenario, material: Material, place: Path, whole: Whole
) -> Outcome:
    rng = random.Random(case)
    cwd = _cwd(place)
    words, at = _words(scenario.words, material), []
    _typed(scenario.before, cwd)
    for _ in range(1 + (rng.random() < TIMES_TWICE)):
        moment = rng.uniform(0.0, whole.seconds * 1.05)
        killed = processes.run(words, cwd, kill_after_s=moment, group=rng.random() < 0.3)
        at.append(f"{moment:.3f} s" + ("" if killed.code == -9 else " (it had ended)"))
        if problem := _said_badly(killed):
            return Outcome(case, "traceback", problem)
        words = _words(scenario.again or scenario.words, material)
    moments = f"killed at {' and '.join(at)}"
    ended = _gone_on(words, cwd)
    if ended.code and "there is no checkpoint" in ended.said:
        ended = _gone_on(_words(scenario.words, material), cwd)
    if ended.code not in whole.codes:
        return Outcome(case, "lost", f"{moments}; then it does not go on: {ended.said[-700:]}")
    if problem := _said_badly(ended):
        return Outcome(case, "traceback", f"{moments}; {problem}")
    _typed(scenario.then, cwd)
    difference = _state(scenario, place).difference(whole.state)
    if difference is not None:
        return Outcome(case, difference[0], f"{moments}; {difference[1]}; {ended.said[-400:]}")
    return Outcome(case, "accepted", moments)


def _gone_on(words: list[str], cwd: Path) -> processes.Ended:
    """Type the command again; where git's own lock was left, do first what the message says."""
    for _ in range(5):
        ended = processes.run(words, cwd)
        if "gc is already running" in ended.said:  # git's own, which nobody killed with bgit
            time.sleep(0.5)
            continue
        locks = {Path(path) for path in re.findall(r"/\S+?\.lock\b", ended.said)}
        for lock in locks:  # the very words of the advice
            lock.unlink(missing_ok=True)
        if is_merging := "MERGE_HEAD exists" in ended.said:  # nothing is lost: git waits
            processes.run(["bgit", "merge", "--abort"], cwd)
        if ended.code == 0 or not (locks or is_merging):
            return ended
    return ended


def _said_badly(ended: processes.Ended) -> str:
    """Return the traceback that a command ended with, "" where it had none."""
    _, found, trace = ended.said.partition("Traceback (most recent call last)")
    return trace[-800:] if found else ""
