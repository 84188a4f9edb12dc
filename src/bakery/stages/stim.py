"""Questions for the teacher: generators in, stimuli.jsonl out.

Appends round by round; running it again goes on after the last round.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.errors import StageError
from bakery.generators import anchors, dataset, facts, hardcoded, oneshot, persona, writing
from bakery.generators.base import ACCEPTED, Generator, OpenWriter, Round, Task, of_row
from bakery.identity import StimRequest, canonical, file_digest, short_id
from bakery.records import (
    ASK_A_MODEL,
    Stimulus,
    append_rows,
    questions_of,
    read_rows,
    user_text,
    write_atomic,
)
from bakery.reporting import Reporter
from bakery.stages import usable
from bakery.store import results

GENERATORS: dict[str, Generator] = {
    "oneshot_qs": oneshot.write,
    "custom": oneshot.write,
    "hardcoded": hardcoded.write,
    "from_dataset": dataset.write,
    "persona": persona.write,
    "facts": facts.write,
    "anchors": anchors.write,
}

SECOND = 2
"""The version of the defaults from which on writers are tried and judged (`generators.writing`)."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A reply that became no stimulus, and why."""

    text: str
    reason: str
    source: int
    round: int


def run(
    request: StimRequest,
    out: Path,
    *,
    open_writer: OpenWriter,
    reporter: Reporter,
    read: Callable[[str], bytes] | None = None,
    allow_poor: bool = False,
) -> int:
    """Write every stimulus that `out` does not have yet; return how many there are.

    `read` gives the bytes of the data files that generators name. A writer of which too few
    replies are usable is stopped early, unless poor questions are allowed.
    """
    results.begin(out, request)
    beside = _Beside(out / results.BESIDE, reporter)
    total = sum(questions_of(generator) or 0 for generator in request.generators)
    for source in order(request):
        task = _task(request, source, out, open_writer, read or _nothing, beside)
        done = len(_known(results.stimuli(out)))
        reporter.progress("stim", done, max(total, done))
        if not allow_poor:
            _stop_early(beside.judged.get(str(source)), reporter)
        for round_ in _writes(request, source)(task):
            beside.came_from(source, task.origin)
            done += _write(out, source, request, round_)
            judged = _judged(request, source, out, task.origin)
            beside.finished(source, round_.number, judged)
            reporter.progress("stim", done, max(total, done))
            if not allow_poor:
                _stop_early(judged, reporter)
    return _end(request, out, total, beside, reporter)


def order(request: StimRequest) -> list[int]:
    """Return the generators in the order in which they write.

    What a person wrote, or drew from a file, comes before what any model is asked for. The first
    version of the defaults took them as they stand.
    """
    numbers = range(len(request.generators))
    if request.defaults < SECOND:
        return list(numbers)
    return sorted(numbers, key=lambda n: request.generators[n]["type"] in ASK_A_MODEL)


def _is_tried(request: StimRequest, source: int) -> bool:
    """Tell whether a generator's writer is tried first, and what it writes judged."""
    return request.defaults >= SECOND and request.generators[source]["type"] in ASK_A_MODEL


def _writes(request: StimRequest, source: int) -> Generator:
    tried = _is_tried(request, source)
    return writing.write if tried else GENERATORS[request.generators[source]["type"]]


def _stop_early(found: usable.Judged | None, reporter: Reporter) -> None:
    """Raise a GateError where a writer has shown that most of what it writes is not a question."""
    if found is not None and found["of"] >= usable.EARLY and usable.poor({"": found}):
        for text in usable.samples(found):
            reporter.note(text)
        raise usable.refusal([found])


def _judged(
    request: StimRequest, source: int, out: Path, origin: Mapping[str, Any]
) -> usable.Judged | None:
    if not _is_tried(request, source):
        return None
    rows = results.stimuli(out)
    rejected = [(r.text, r.reason) for r in read_rows(out / results.REJECTED, Rejected)
                if r.source == source]  # fmt: skip
    return usable.judged(request, source, rows, rejected, origin)


def _end(request: StimRequest, out: Path, total: int, beside: _Beside, reporter: Reporter) -> int:
    """Write down what a whole set comes to."""
    stimuli = results.stimuli(out)
    if len(stimuli) != total:  # duplicates, a writer that ran dry, or a whole data set
        reporter.progress("stim", len(stimuli), len(stimuli))
    if not stimuli:
        raise StageError(
            "no question was written",
            hint=f"See why in {out / results.REJECTED}, or write some with type: hardcoded.",
        )
    left_out = read_rows(out / results.REJECTED, Rejected)
    rejected = Counter(row.reason for row in left_out)
    done_data = {
        "schema": 1,
        "count": len(stimuli),
        "digest": file_digest(out / results.STIMULI),
        "writers": Counter(s.writer for s in stimuli),
        "rejected": rejected,
        "seconds": round(beside.seconds(), 2),
        "notes": beside.notes(),
    }
    if beside.origins:
        done_data["origins"] = beside.origins
    if beside.judged:
        done_data["judged"] = beside.judged
    for one in usable.poor(beside.judged):
        for text in usable.samples(one):
            reporter.note(text)
    results.end(out, done_data)
    beside.path.unlink(missing_ok=True)
    # What a model's replies were left out for stands in its own note.
    unsaid = Counter(row.reason for row in left_out if not _is_tried(request, row.source))
    if unsaid:
        counts = ", ".join(f"{n} {reason}" for reason, n in unsaid.most_common())
        fewer = f", so that there are {total - len(stimuli)} fewer than asked for"
        reporter.note(f"left out of the questions: {counts}{fewer * (len(stimuli) < total)}")
    return len(stimuli)


class _Beside:
    """Notes on generators, said at once and kept for the result, and where questions came from.

    And the seconds that all runs have taken so far: the result is theirs together.
    """

    def __init__(self, path: Path, reporter: Reporter) -> None:
        self._started = time.monotonic()
        self.path, self._reporter = path, reporter
        kept = _kept(path, reporter)
        self._notes: dict[str, list[str]] = kept.get("notes", {})
        self.origins: dict[str, Any] = kept.get("origins", {})
        self._rounds: dict[str, int] = kept.get("rounds", {})
        self.judged: dict[str, usable.Judged] = kept.get("judged", {})
        self._before: float = kept.get("seconds", 0.0)

    def notes_of(self, source: int) -> Callable[[str], None]:
        """Return what takes the notes of a generator; those of an earlier try are replaced."""
        mine: list[str] = []

        def note(text: str) -> None:
            mine.append(text)
            self._notes[str(source)] = mine
            self.keep()
            self._reporter.note(text)

        return note

    def came_from(self, source: int, origin: Mapping[str, Any]) -> None:
        """Keep where a generator's questions come from, where it says so."""
        if origin:
            self.origins[str(source)] = dict(origin)
            self.keep()

    def origin(self, source: int) -> dict[str, Any]:
        """Return where a generator's questions come from, as far as that is known."""
        return dict(self.origins.get(str(source), {}))

    def finished(self, source: int, number: int, judged: usable.Judged | None) -> None:
        """Keep that a round of a generator is written, whole, and how its replies were so far."""
        self._rounds[str(source)] = max(number + 1, self.rounds(source))
        if judged is not None:
            self.judged[str(source)] = judged
        self.keep()

    def rounds(self, source: int) -> int:
        """Return how many rounds of a generator are there, whole."""
        return self._rounds.get(str(source), 0)

    def notes(self) -> list[str]:
        """Return all notes, in the order of the generators."""
        return [text for source in sorted(self._notes, key=int) for text in self._notes[source]]

    def seconds(self) -> float:
        """Return how long this run and those before it have taken."""
        return self._before + time.monotonic() - self._started

    def keep(self) -> None:
        """Write down all of it, for the run that goes on after an interruption."""
        kept = {
            "notes": self._notes,
            "origins": self.origins,
            "seconds": self.seconds(),
            "rounds": self._rounds,
            "judged": self.judged,
        }
        write_atomic(self.path, json.dumps(kept) + "\n")


def _kept(path: Path, reporter: Reporter) -> dict[str, Any]:
    """Return what an earlier run knew besides its questions; of a damaged file, nothing."""
    try:
        kept: dict[str, Any] = json_file.load_object(path)
        parts = {key: kept.get(key, {}) for key in ("notes", "origins", "rounds", "judged")}
        if not all(isinstance(part, dict) for part in parts.values()):
            raise ValueError("its parts are of other kinds")
        if not all(key.isascii() and key.isdigit() for part in parts.values() for key in part):
            raise ValueError("it names generators that there are not")
        if not all(map(json_file.is_whole, parts["rounds"].values())):
            raise ValueError("its rounds are no whole numbers")
        if not all(isinstance(notes, list) for notes in parts["notes"].values()):
            raise ValueError("its notes are none")
        if not isinstance(kept.get("seconds", 0.0), int | float):
            raise ValueError("its seconds are no number")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reporter.note(f"{path} is damaged: {error}. Its notes and its count of rounds are lost")
        return {}
    return kept


def _task(
    request: StimRequest,
    source: int,
    out: Path,
    open_writer: OpenWriter,
    read: Callable[[str], bytes],
    beside: _Beside,
) -> Task:
    generator = request.generators[source]
    rows = results.stimuli(out)
    mine = [row for row in rows if row.source == source]
    first = max((row.round for row in mine), default=-1) + 1
    before: Counter[str] = Counter()
    if _is_tried(request, source):
        # A round that was cut off is written again; what of it is there is skipped.
        first = beside.rounds(source)
        rows = [row for row in rows if row.source != source or row.round < first]
        mine = [row for row in mine if row.round < first]
        before = _before(out, source, first, mine)
    path = generator.get("template_path")
    return Task(
        generator,
        request.teacher,
        f"{request.id}/{source}",
        _known(rows),
        _known(mine),
        first,
        open_writer,
        read,
        beside.notes_of(source),
        request.templates[path] if path else generator.get("template_content"),
        request.files,
        beside.origin(source) if request.defaults >= SECOND else {},
        before,
        request.variables,
    )


def _before(out: Path, source: int, first: int, mine: Sequence[Stimulus]) -> Counter[str]:
    """Count how the replies of a generator's whole rounds were judged."""
    counted = Counter(
        row.reason
        for row in read_rows(out / results.REJECTED, Rejected)
        if row.source == source and row.round < first
    )
    counted[ACCEPTED] = sum(row.round >= 0 for row in mine)
    return +counted


def _write(out: Path, source: int, request: StimRequest, round_: Round) -> int:
    """Append a round, and return how many questions that adds.

    What an interrupted one has written already is not written again.
    """
    generator, number = request.generators[source], round_.number
    there = [r for r in read_rows(out / results.REJECTED, Rejected)
             if (r.source, r.round) == (source, number)]  # fmt: skip
    again = _is_tried(request, source)
    left_out = [Rejected(text, why, source, number) for text, why in round_.rejected]
    if again or not there:
        append_rows(out / results.REJECTED, left_out[len(there) :])
    written = [r for r in results.stimuli(out)
               if again and (r.source, r.round) == (source, number)]  # fmt: skip
    known = _known(written)
    behind = "student" if generator.get("rollout_with_conditioned") else None
    is_kept = generator.get("hold_out")
    counts = Counter(map(canonical, round_.values))
    rows = []
    for text, values in zip_longest(round_.questions, round_.values):
        if of_row(text, values) in known:
            continue
        messages = ({"role": "user", "content": text},)
        kind, own = generator["type"], dict(values) if values else None
        kept = is_kept
        if own and kept is None and counts[canonical(own)] == 1:
            kept = False  # held out, what its prompt says would be learnt from nothing
        name = short_id([messages, own] if own else messages)
        rows.append(
            Stimulus(name, messages, kind, round_.writer, source, number, behind, kept, own)
        )
    append_rows(out / results.STIMULI, rows)
    return len(rows)


def _known(rows: list[Stimulus]) -> set[str]:
    return {of_row(user_text(row.messages), row.values) for row in rows}


def _nothing(path: str) -> bytes:
    raise StageError(f"the data file {path} cannot be read here")
