"""What a model is measured on: the held-out questions of its targets, and what a person gives.

Nothing is loaded: files are read, and what is wrong with them is said first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery import held_out
from bakery.app import meaning, outputs
from bakery.app.meaning import Meant
from bakery.errors import ConfigError, StageError
from bakery.evals.given import BUILT_IN, Given, holds
from bakery.evals.ifeval.score import Instruction
from bakery.evals.neutral import NEUTRAL
from bakery.evals.subject import Asked, Subject
from bakery.evals.suites import Suite
from bakery.paths import expanded
from bakery.records import Message, Prompt, Stimulus, Trajectory
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.schema.tests import has_words
from bakery.settings import prefix
from bakery.store import results
from bakery.store.store import Store
from bakery.variables import sides

if TYPE_CHECKING:
    from bakery.evals.evaluation import Material
    from bakery.evals.forgetting import Link


def given(neutral: str | None, ifeval: str | None, canary: str | None) -> Given:
    """Read what is given, or refuse it. What is empty is refused, too: it would not be looked for.

    A variable that is not set would pass for a secret that never comes out.
    """
    for name, value in (("neutral", neutral), ("ifeval", ifeval), ("canary", canary)):
        if value is not None and not value.strip():
            raise ConfigError(
                f"--{name} is empty",
                hint="Is a variable not set? Leave the option out where nothing is meant.",
            )
    if canary is not None and not has_words(canary):
        raise ConfigError(
            f"--canary {canary!r} has no letter and no digit, and nothing else is compared",
            hint="Give more of the prompt around it, or another secret.",
        )
    questions = NEUTRAL if neutral is None else tuple(_questions(neutral))
    rows = () if ifeval is None else tuple(_instructions(ifeval))
    return Given(questions, neutral or BUILT_IN, rows, ifeval or "", (canary or "").strip())


def refuse_unmeasured(given: Given, chosen: Suite) -> None:
    """Refuse what is given for an axis that is not measured: it would look as if it had passed."""
    for option, is_given, axis in (
        ("canary", given.canary, "leakage"),
        ("ifeval", given.ifeval, "capability"),
    ):
        if is_given and axis not in chosen.axes:
            raise ConfigError(
                f"--{option} is for {axis}, which would not be measured",
                hint=f"Add `--only {axis}`, or leave --{option} out.",
            )


def check(meant: Meant, given: Given) -> None:
    """Refuse a canary that no prompt of the model holds."""
    if not given.canary:
        return
    texts = [
        str(message.get("content", ""))
        for entry in meaning.targets(meant) or ()
        for message in entry["teacher"]["messages"]
    ]
    if not any(holds(text, given.canary) for text in texts):
        raise ConfigError(
            f"--canary is a part of the prompt, and no prompt of {meant.name} holds it",
            hint="Give it as it stands in the prompt: `bgit target` shows that.",
        )


def subjects(repo: ModelRepo | None, meant: Meant, given: Given) -> tuple[Subject, ...]:
    """Return what a bake was taught, each with the questions that it is measured on."""
    found = []
    for entry in meaning.targets(meant) or ():
        if entry["teacher"] != entry["student"]:
            found.append(_subject(repo, meant, entry, given))
    if not found:
        raise ConfigError(
            f"{meant.name} was taught nothing new: its targets keep what was there",
            hint="`bgit show` lists them; name another bake.",
        )
    return tuple(found)


def _subject(
    repo: ModelRepo | None, meant: Meant, entry: Mapping[str, Any], given: Given
) -> Subject:
    """Return a target of the model itself: what the `bakery` command left has its own questions."""
    left = outputs.beside(meant.folder) if meant.folder is not None else None
    if left is None:
        return subject(repo.store if repo else None, entry, _training(meant), given)
    rows, held = left.questions(str(entry["name"]))
    return _made(entry, [Asked(messages) for messages in rows], given, held=held)


def subject(
    store: Store | None, entry: Mapping[str, Any], training: Mapping[str, Any], given: Given
) -> Subject:
    """Return a target with its held-out questions; where they are not here, with general ones."""
    asked, held = _held_out(store, entry, training) if store is not None else ([], False)
    return _made(entry, asked, given, held=held)


def _made(entry: Mapping[str, Any], asked: Sequence[Asked], given: Given, *, held: bool) -> Subject:
    on = "held-out questions" if held else "questions that it was trained on (none was held out)"
    if not asked:
        asked = [Asked(({"role": "user", "content": text},)) for text in given.neutral]
        on = "general questions (those of the target are not here)"
    first = entry.get("variables")
    if first and not any(one.values for one in asked):
        asked = [replace(one, values=first) for one in asked]
        on += ", behind the prompt of its first row"
    whole = tuple(Prompt.from_data(entry[side]) for side in ("teacher", "student"))
    rows = (*whole, first) if first else None
    return Subject(str(entry["name"]), *sides(entry), tuple(asked), on, rows)


def material(
    repo: ModelRepo | None, meant: Meant, subjects: tuple[Subject, ...], given: Given
) -> Material:
    """Return all that the axes of a suite need."""
    from bakery.evals.cost import Spent
    from bakery.evals.evaluation import Material

    said = meant.bake.data if meant.bake else {}
    left = outputs.beside(meant.folder) if meant.folder is not None else None
    seconds = sum((said.get("seconds") or {}).values()) or (left.seconds if left else 0.0)
    adapter = meant.folder / results.WEIGHTS if meant.folder else None
    name = given.neutral_name
    return Material(
        subjects,
        given.neutral,
        "general questions" if name == BUILT_IN else f"questions of {name}",
        given.ifeval,
        Path(given.ifeval_name).name,
        given.canary,
        _links(repo, meant, given),
        Spent(float(seconds), adapter),
        is_alone=left is not None,  # the `bakery` command bakes on bases alone
    )


def _links(repo: ModelRepo | None, meant: Meant, given: Given) -> tuple[Link, ...]:
    """Return the bakes of a chain with what each was taught, as far as a branch knows them.

    A target that a later bake mixes in again is measured once, as of its own bake.
    """
    from bakery.evals.forgetting import Link

    if repo is None or meant.bake is None:
        return ()
    chain, _ = show.ancestry(repo.lineage(), meant.bake)
    seen: set[str] = set()
    found = []
    for bake in chain:
        new = [
            entry
            for entry in bake.data["targets"]
            if entry["teacher"] != entry["student"] and entry["id"] not in seen
        ]
        seen |= {entry["id"] for entry in new}
        training = bake.data.get("training") or {}
        own = tuple(subject(repo.store, entry, training, given) for entry in new)
        found.append(Link(bake.id, bake.name, own))
    return tuple(found)


def _training(meant: Meant) -> Mapping[str, Any]:
    training: Mapping[str, Any] = (meant.bake.data.get("training") or {}) if meant.bake else {}
    return training


def _held_out(
    store: Store, entry: Mapping[str, Any], training: Mapping[str, Any]
) -> tuple[list[Asked], bool]:
    """Return the questions that a bake did not train on; where it held none out, all of them."""
    stimuli = {one.id: one for one in results.stimuli(store.stim(str(entry["stim_id"])))}
    answers: dict[str, list[Trajectory]] = {}
    for row in results.trajectories(store.target(str(entry["id"]))):
        if row.response_ids and row.stimulus_id in stimuli:
            answers.setdefault(row.stimulus_id, []).append(row)
    if not answers:
        return [], False
    rule = str(training.get("held_out") or held_out.rule(spares_hardcoded=False))
    written = [i for i in answers if stimuli[i].is_written_out]
    out = held_out.chosen(answers, written, rule, training.get("eval_share"))
    return [_asked(stimuli[i], answers[i]) for i in sorted(out or answers)], bool(out)


def _asked(stimulus: Stimulus, answers: list[Trajectory]) -> Asked:
    messages: tuple[Message, ...] = stimulus.messages
    return Asked(messages, tuple(row.response_ids for row in answers), stimulus.values)


def _questions(source: str) -> Iterator[str]:
    """Yield the questions of a file or a set of the hub: lines, or rows with a question."""
    from bakery.data import datasets, sources

    with _given("--neutral", source) as path:
        if not sources.is_text(path):
            yield from datasets.load_data(source)
            return
        lines = [line.strip() for line in prefix.read_text(path).splitlines()]
        if not any(lines):
            raise ConfigError(f"{source} holds no question", hint="Write one in each line.")
        yield from filter(None, lines)


def _instructions(source: str) -> Iterator[Instruction]:
    """Yield the instructions of a file or a set of the hub."""
    from bakery.data import sources
    from bakery.evals.ifeval import score

    with _given("--ifeval", source):
        table = sources.read(source, rows=score.FORM)
    yield from score.read(table.records, table.name)


@contextmanager
def _given(option: str, source: str) -> Iterator[Path]:
    """Refuse a folder without data, and take what is wrong with a file for a wrong flag."""
    from bakery.data import sources

    path = expanded(source)
    if path.is_dir() and not sources.may_be_data(path):
        raise ConfigError(
            f"{option} {source} is a folder without a data set in it",
            hint="Name a file in it, or a folder that save_to_disk wrote.",
        )
    try:
        yield path
    except StageError as error:
        if not path.exists():
            raise
        raise ConfigError(error.message, hint=error.hint) from error
