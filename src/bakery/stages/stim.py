"""Questions for the teacher: generators in, stimuli.jsonl out.

Appends round by round; running it again goes on after the last round.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bakery.errors import StageError
from bakery.generators import dataset, hardcoded, oneshot, persona
from bakery.generators.base import Generator, OpenWriter, Round, Task, normal
from bakery.identity import StimRequest, file_digest, short_id
from bakery.records import Stimulus, append_rows, read_rows, user_text, write_atomic
from bakery.reporting import Reporter

STIMULI, REJECTED, DONE = "stimuli.jsonl", "rejected.jsonl", "done.json"
BESIDE = "beside.json"
"""What is known besides the questions, for the run that goes on after an interrupted one."""

GENERATORS: dict[str, Generator] = {
    "oneshot_qs": oneshot.write,
    "custom": oneshot.write,
    "hardcoded": hardcoded.write,
    "from_dataset": dataset.write,
    "persona": persona.write,
}


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
) -> int:
    """Write every stimulus that `out` does not have yet; return how many there are.

    `read` gives the bytes of the data files that generators name.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "request.json", json.dumps(asdict(request), indent=2) + "\n")
    beside = _Beside(out / BESIDE, reporter)
    total = sum(wanted(generator) or 0 for generator in request.generators)
    for source, generator in enumerate(request.generators):
        task = _task(request, source, out, open_writer, read or _nothing, beside.notes_of(source))
        done = len(task.known)
        reporter.progress("stim", done, max(total, done))
        for round_ in GENERATORS[generator["type"]](task):
            beside.came_from(source, task.origin)
            _write(out, source, generator, round_)
            beside.keep()
            done += len(round_.questions)
            reporter.progress("stim", done, max(total, done))
    stimuli = read_rows(out / STIMULI, Stimulus)
    if len(stimuli) != total:  # duplicates, a writer that ran dry, or a whole data set
        reporter.progress("stim", len(stimuli), len(stimuli))
    if not stimuli:
        raise StageError(
            "no question was written",
            hint=f"See why in {out / REJECTED}, or write some with type: hardcoded.",
        )
    rejected = Counter(row.reason for row in read_rows(out / REJECTED, Rejected))
    done_data = {
        "schema": 1,
        "count": len(stimuli),
        "digest": file_digest(out / STIMULI),
        "writers": Counter(s.writer for s in stimuli),
        "rejected": rejected,
        "seconds": round(beside.seconds(), 2),
        "notes": beside.notes(),
    }
    if beside.origins:
        done_data["origins"] = beside.origins
    write_atomic(out / DONE, json.dumps(done_data, indent=2) + "\n")
    beside.path.unlink(missing_ok=True)
    if rejected:
        counts = ", ".join(f"{n} {reason}" for reason, n in rejected.most_common())
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
        kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
        self._notes: dict[str, list[str]] = kept.get("notes", {})
        self.origins: dict[str, Any] = kept.get("origins", {})
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

    def notes(self) -> list[str]:
        """Return all notes, in the order of the generators."""
        return [text for source in sorted(self._notes, key=int) for text in self._notes[source]]

    def seconds(self) -> float:
        """Return how long this run and those before it have taken."""
        return self._before + time.monotonic() - self._started

    def keep(self) -> None:
        """Write down all of it, for the run that goes on after an interruption."""
        kept = {"notes": self._notes, "origins": self.origins, "seconds": self.seconds()}
        write_atomic(self.path, json.dumps(kept) + "\n")


def wanted(generator: Mapping[str, Any]) -> int | None:
    """Return how many questions a generator is asked for; None: all that there are."""
    if generator["type"] == "hardcoded":
        return len(generator["questions"])
    return generator.get("numq")


def _task(
    request: StimRequest,
    source: int,
    out: Path,
    open_writer: OpenWriter,
    read: Callable[[str], bytes],
    note: Callable[[str], None],
) -> Task:
    generator = request.generators[source]
    rows = read_rows(out / STIMULI, Stimulus)
    mine = [row for row in rows if row.source == source]
    path = generator.get("template_path")
    return Task(
        generator,
        request.teacher,
        f"{request.id}/{source}",
        _known(rows),
        _known(mine),
        max((row.round for row in mine), default=-1) + 1,
        open_writer,
        read,
        note,
        request.templates[path] if path else generator.get("template_content"),
        request.files,
    )


def _write(out: Path, source: int, generator: Mapping[str, Any], round_: Round) -> None:
    """Append a round; what an interrupted one has left out already is not written again."""
    sifted = {row.round for row in read_rows(out / REJECTED, Rejected) if row.source == source}
    if round_.number not in sifted:
        left_out = [Rejected(text, why, source, round_.number) for text, why in round_.rejected]
        append_rows(out / REJECTED, left_out)
    behind = "student" if generator.get("rollout_with_conditioned") else None
    rows = []
    for text in round_.questions:
        messages = ({"role": "user", "content": text},)
        kind, number = generator["type"], round_.number
        rows.append(
            Stimulus(short_id(messages), messages, kind, round_.writer, source, number, behind)
        )
    append_rows(out / STIMULI, rows)


def _known(rows: list[Stimulus]) -> set[str]:
    return {normal(user_text(row.messages)) for row in rows}


def _nothing(path: str) -> bytes:
    raise StageError(f"the data file {path} cannot be read here")
