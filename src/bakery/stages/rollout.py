"""Stimuli in, teacher trajectories out.

Appends as answers arrive, so an interrupted run is resumed by running it again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from bakery.backends.base import Answer, AnswerRequest, Sampler
from bakery.errors import StageError
from bakery.identity import RolloutRequest, file_digest
from bakery.records import Stimulus, Trajectory, append_rows, read_rows, write_atomic
from bakery.reporting import Reporter
from bakery.stages import stim

TRAJECTORIES, DONE = "trajectories.jsonl", "done.json"


def run(
    request: RolloutRequest, stim_dir: Path, out: Path, *, sampler: Sampler, reporter: Reporter
) -> int:
    """Answer every stimulus that has no answer in `out`; return how many answers there are."""
    started = time.monotonic()
    if not (stim_dir / stim.DONE).is_file():
        raise StageError("the questions are not complete", hint="Run `bgit run stim` first.")
    stimuli = read_rows(stim_dir / stim.STIMULI, Stimulus)
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "request.json", json.dumps(asdict(request), indent=2) + "\n")
    have = {(t.stimulus_id, t.sample) for t in read_rows(out / TRAJECTORIES, Trajectory)}
    wanted = {
        _key(request.id, s.id, k): (s, k)
        for s in stimuli
        for k in range(request.sampling.num_traj_per_stimulus)
    }
    missing = [key for key, (s, k) in wanted.items() if (s.id, k) not in have]
    done, tokens, clock = len(wanted) - len(missing), 0, time.monotonic()
    reporter.progress("rollout", done, len(wanted))
    for batch in _batches(request, sampler, {key: wanted[key][0] for key in missing}):
        append_rows(
            out / TRAJECTORIES, [_trajectory(a, *wanted[a.key], sampler.name) for a in batch]
        )
        done += len(batch)
        tokens += sum(len(a.ids) for a in batch)
        rate = tokens / max(time.monotonic() - clock, 1e-9)
        reporter.progress("rollout", done, len(wanted), f"{rate:,.0f} tokens/s")
    rows = read_rows(out / TRAJECTORIES, Trajectory)
    cut = sum(row.finish == "length" for row in rows)
    notes = list(sampler.notes)
    if cut:
        limit = request.sampling.max_tokens
        notes.append(f"{cut} of {len(rows)} answers were cut at max_tokens = {limit}")
    write_atomic(
        out / DONE,
        json.dumps(
            {
                "schema": 1,
                "stim_id": request.stim_id,
                "count": len(rows),
                "stimuli": len(stimuli),
                "digest": file_digest(out / TRAJECTORIES),
                "model": sampler.name,
                "cut": cut,
                "seconds": round(time.monotonic() - started, 2),
                "notes": notes,
            },
            indent=2,
        )
        + "\n",
    )
    for note in notes:
        reporter.note(note)
    return len(rows)


def _batches(
    request: RolloutRequest, sampler: Sampler, missing: Mapping[str, Stimulus]
) -> Iterator[list[Answer]]:
    """Yield answers behind the teacher prompt, then those that want the student prompt."""
    for student in (False, True):
        asked = [
            AnswerRequest(key, s.messages)
            for key, s in missing.items()
            if (s.rollout_with == "student") == student
        ]
        prompt = request.student if student and request.student is not None else request.teacher
        if asked:
            yield from sampler.answers(asked, prompt, request.sampling)


def _key(target_id: str, stimulus_id: str, sample: int) -> str:
    return f"{target_id}/{stimulus_id}/{sample}"


def _trajectory(answer: Answer, stimulus: Stimulus, sample: int, model: str) -> Trajectory:
    return Trajectory(stimulus.id, sample, answer.ids, answer.text, answer.finish, model)
