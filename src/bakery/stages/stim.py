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

from bakery.backends.base import QuestionWriter
from bakery.errors import StageError
from bakery.generators import hardcoded, oneshot
from bakery.identity import StimRequest, file_digest, short_id
from bakery.records import Stimulus, append_rows, read_rows, user_text, write_atomic
from bakery.reporting import Reporter

OpenWriter = Callable[[str | None], tuple[QuestionWriter, str | None]]
"""Gives whoever writes questions for a generator's `model` (None: the base), and, where that is
not the one who was asked for, a sentence that says so."""

STIMULI, REJECTED, DONE = "stimuli.jsonl", "rejected.jsonl", "done.json"


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
) -> int:
    """Write every stimulus that `out` does not have yet; return how many there are."""
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "request.json", json.dumps(asdict(request), indent=2) + "\n")
    notes: list[str] = []
    total = sum(_wanted(g) for g in request.generators)
    for source, generator in enumerate(request.generators):
        if generator["type"] == "hardcoded":
            _hardcoded(out, source, generator)
            reporter.progress("stim", len(read_rows(out / STIMULI, Stimulus)), total)
        else:
            _oneshot(request, out, source, open_writer, reporter, notes, total)
    stimuli = read_rows(out / STIMULI, Stimulus)
    if len(stimuli) != total:  # duplicates, or a writer that ran dry
        reporter.progress("stim", total, total)
    if not stimuli:
        raise StageError(
            "no question was written",
            hint=f"See why in {out / REJECTED}, or write some with type: hardcoded.",
        )
    rejected = Counter(row.reason for row in read_rows(out / REJECTED, Rejected))
    write_atomic(
        out / DONE,
        json.dumps(
            {
                "schema": 1,
                "count": len(stimuli),
                "digest": file_digest(out / STIMULI),
                "writers": Counter(s.writer for s in stimuli),
                "rejected": rejected,
                "seconds": round(time.monotonic() - started, 2),
                "notes": notes,
            },
            indent=2,
        )
        + "\n",
    )
    if rejected:
        counts = ", ".join(f"{n} {reason}" for reason, n in rejected.most_common())
        reporter.note(f"left out of the questions: {counts}")
    return len(stimuli)


def _wanted(generator: Mapping[str, Any]) -> int:
    return len(generator["questions"]) if generator["type"] == "hardcoded" else generator["numq"]


def _hardcoded(out: Path, source: int, generator: dict[str, Any]) -> None:
    known = _known(read_rows(out / STIMULI, Stimulus))
    rows, rejected = [], []
    for text in hardcoded.questions(generator):
        if oneshot.normal(text) in known:
            rejected.append(Rejected(text, "duplicate", source, 0))
            continue
        known.add(oneshot.normal(text))
        rows.append(_stimulus(text, "hardcoded", hardcoded.WRITER, source, 0))
    if rows:  # nothing new: written by an earlier run
        append_rows(out / REJECTED, rejected)
        append_rows(out / STIMULI, rows)


def _oneshot(
    request: StimRequest,
    out: Path,
    source: int,
    open_writer: OpenWriter,
    reporter: Reporter,
    notes: list[str],
    total: int,
) -> None:
    generator = request.generators[source]
    rows = read_rows(out / STIMULI, Stimulus)
    mine = [r for r in rows if r.source == source]
    if len(mine) >= generator["numq"]:
        return
    writer, instead = open_writer(generator.get("model"))
    if instead:
        _announce(instead, notes, reporter)
    path = generator.get("template_path")
    if path and writer.speaks_as_user:
        ignored = f"{writer.name} writes questions by itself: template {path} is not read"
        _announce(ignored, notes, reporter)
    known = _known(rows)
    if writer.speaks_as_user and not mine:
        mine = _openers(out, source, generator, known)
    sifted = {r.round for r in read_rows(out / REJECTED, Rejected) if r.source == source}
    have, done = len(mine), len(rows) + sum(row not in rows for row in mine)
    reporter.progress("stim", done, total)
    for round_ in oneshot.rounds(
        generator,
        request.teacher,
        request.templates[path] if path else None,
        writer,
        key=f"{request.id}/{source}",
        known=known,
        first=max((r.round for r in mine), default=-1) + 1,
        have=have,
    ):
        if round_.number not in sifted:  # an interrupted round repeats itself exactly
            left_out = [Rejected(text, why, source, round_.number) for text, why in round_.rejected]
            append_rows(out / REJECTED, left_out)
        new = [
            _stimulus(text, generator["type"], writer.name, source, round_.number)
            for text in round_.questions
        ]
        append_rows(out / STIMULI, new)
        have, done = have + len(round_.questions), done + len(round_.questions)
        reporter.progress("stim", done, total)
    if have < generator["numq"]:
        few = (
            f"{writer.name} wrote only {have} different questions of "
            f"{generator['numq']}: the last rounds gave nothing new"
        )
        _announce(few, notes, reporter)


def _openers(
    out: Path, source: int, generator: Mapping[str, Any], known: set[str]
) -> list[Stimulus]:
    """Write the questions that are asked in any case, and return them."""
    rows = [
        _stimulus(text, generator["type"], oneshot.OPENERS_WRITER, source, -1)
        for text in oneshot.openers(generator["numq"], known)
    ]
    append_rows(out / STIMULI, rows)
    return rows


def _announce(text: str, notes: list[str], reporter: Reporter) -> None:
    """Say it now, and keep it with the result."""
    notes.append(text)
    reporter.note(text)


def _stimulus(text: str, generator: str, writer: str, source: int, round_: int) -> Stimulus:
    messages = ({"role": "user", "content": text},)
    return Stimulus(short_id(messages), messages, generator, writer, source, round_)


def _known(rows: list[Stimulus]) -> set[str]:
    return {oneshot.normal(user_text(row.messages)) for row in rows}
