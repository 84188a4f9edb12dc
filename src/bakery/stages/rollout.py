"""Stimuli in, teacher trajectories out.

Appends as answers arrive, so an interrupted run is resumed by running it again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from bakery.backends.base import Answer, AnswerRequest, RefusedError, Sampler
from bakery.errors import ModelError, StageError
from bakery.identity import RolloutRequest, SamplingSettings, file_digest, short_id
from bakery.records import BACKENDS, Stimulus, Trajectory, append_rows, user_text
from bakery.reporting import Reporter
from bakery.stages import limit
from bakery.stages.spent import Spent
from bakery.store import results


def run(
    request: RolloutRequest, stim_dir: Path, out: Path, *, sampler: Sampler, reporter: Reporter
) -> int:
    """Answer every stimulus that has no answer in `out`; return how many answers there are."""
    spent = Spent(out)
    if not results.is_done(stim_dir):
        raise StageError("the questions are not complete", hint="Run `bgit run stim` first.")
    if (changed := results.changed(stim_dir)) is not None:  # before anything is spent on answers
        raise ModelError(changed, hint="Delete its folder and run the stage again.")
    stimuli = results.stimuli(stim_dir)
    results.begin(out, request)
    have = {(t.stimulus_id, t.sample) for t in results.trajectories(out)}
    wanted = {
        _key(request.id, s.id, k): (s, k)
        for s in stimuli
        for k in range(request.sampling.num_traj_per_stimulus)
    }
    missing = [key for key, (s, k) in wanted.items() if (s.id, k) not in have]
    done, tokens, clock = len(wanted) - len(missing), 0, time.monotonic()
    reporter.progress("rollout", done, len(wanted))
    stimuli_of = {key: stimulus for key, (stimulus, _) in wanted.items()}
    request, known, why = _limited(request, sampler, stimuli_of, out, reporter)
    first = [known[key] for key in missing if key in known]
    asked = {key: wanted[key][0] for key in missing if key not in known}
    rest = _batches(request, sampler, asked, answered=len(have) + len(first))
    unread: list[tuple[int, int]] = []
    for batch in chain([first], rest):
        unread += [a.unread for a in batch if a.unread is not None]
        made = [_trajectory(a, *wanted[a.key], sampler.name) for a in batch]
        append_rows(out / results.TRAJECTORIES, made)
        spent.keep()
        done += len(batch)
        tokens += sum(len(a.ids) for a in batch)
        rate = tokens / max(time.monotonic() - clock, 1e-9)
        reporter.progress("rollout", done, len(wanted), f"{rate:,.0f} tokens/s")
    rows = results.trajectories(out)
    noted = [*why, *sampler.notes, *_of_unread(unread, sampler.name, out)]
    done_now = _described(request, rows, stimuli, noted)
    done_now |= {
        **({results.CUT_PROMPT: len(unread)} if unread else {}),
        "digest": file_digest(out / results.TRAJECTORIES),
        "model": sampler.name,
        **({"backend": sampler.name} if request.model in BACKENDS.values() else {}),
        "seconds": round(spent.seconds(), 2),
    }
    results.end(out, done_now)
    spent.forget()
    for note in done_now["notes"]:
        reporter.note(note)
    return len(rows)


def _described(
    request: RolloutRequest,
    rows: Sequence[Trajectory],
    stimuli: Sequence[Stimulus],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return what done.json says of the answers, its notes among them."""
    cut, told = sum(row.finish == "length" for row in rows), list(notes)
    if refused := {row.stimulus_id: row.text for row in rows if row.finish == REFUSED}:
        told.append(f"{_refusals(refused, stimuli)}: they are left without an answer")
    if cut:
        told.append(_of_cut(cut, len(rows), request.sampling.max_tokens))
    return {
        "schema": 1,
        "stim_id": request.stim_id,
        "count": len(rows),
        "stimuli": len(stimuli),
        "cut": cut,
        "max_tokens": request.sampling.max_tokens,
        "notes": told,
    }


def _of_unread(unread: Sequence[tuple[int, int]], name: str, out: Path) -> Iterator[str]:
    """Yield that the server cut the prompt, where it did."""
    if unread:
        read, takes = max(unread, key=lambda one: one[1] - one[0])
        yield (
            f"warning: {name} read {read} tokens of a prompt that takes {takes}: its server cut "
            f"the prompt, of {len(unread)} answers, and what is learnt from them is not what the "
            "whole prompt says. Raise the server's context (num_ctx, --ctx-size, --max-model-len), "
            f"delete {out} and answer again"
        )


MANY_CUT = 0.1
"""The share of answers without an end from which on a bake learns not to come to one."""


def _of_cut(cut: int, answers: int, most: int) -> str:
    """Return how many answers were cut, and what to do where that is many."""
    said = f"{cut} of {answers} answers were cut at max_tokens = {most}"
    if cut <= MANY_CUT * answers:
        return said
    return (
        f"warning: {said}, so the bake does not learn how they end: raise TARGET.max_tokens in "
        "input.yml, or ask for short answers in the prompt"
    )


def _limited(
    request: RolloutRequest,
    sampler: Sampler,
    asked: Mapping[str, Stimulus],
    out: Path,
    reporter: Reporter,
) -> tuple[RolloutRequest, dict[str, Answer], list[str]]:
    """Return the request with the length at which answers are cut, and the note that says so;

    with those of the answers looked at, by their keys, that are no longer. The others are asked for
    again: seeds go by question, so that they are the same ones, cut. `asked` is all that there is
    to answer: a run that goes on comes to the same limit.
    """
    sampling = request.sampling
    if not sampling.probed:
        return request, {}, []
    kept: dict[str, Answer] = {}
    found = limit.written(out)
    if found is None:
        # Of all questions alike: those that are written out come first, and are short.
        mixed = sorted(asked, key=lambda key: short_id(["limit", key]))
        first = {key: asked[key] for key in mixed[: sampling.probed]}
        answers = _until_they_end(request, sampler, first, reporter)
        found = limit.chosen(list(answers.values()), sampling.max_tokens)
        limit.write(out, found)
        kept = {k: a for k, a in answers.items() if limit.length(a) <= found.max_tokens}
    shorter = replace(sampling, max_tokens=found.max_tokens)
    return replace(request, sampling=shorter), kept, [str(found)]


def _until_they_end(
    request: RolloutRequest, sampler: Sampler, asked: Mapping[str, Stimulus], reporter: Reporter
) -> dict[str, Answer]:
    """Return answers to some questions, by key, that may be long only as long as many are.

    What is not at its end is asked for again with more room, from the start: that is rare.
    """
    found: dict[str, Answer] = {}
    for most in limit.ROOM:
        most = min(most, request.sampling.max_tokens)
        wider = replace(request, sampling=replace(request.sampling, max_tokens=most))
        missing = {k: s for k, s in asked.items() if k not in found or limit.is_cut(found[k])}
        with reporter.doing(f"looking at how long answers are, at most {most} tokens"):
            for batch in _batches(wider, sampler, missing, answered=len(found)):
                found |= {answer.key: answer for answer in batch if answer.finish != REFUSED}
        if most == request.sampling.max_tokens or limit.is_enough(list(found.values())):
            break
    return found


def _batches(
    request: RolloutRequest, sampler: Sampler, missing: Mapping[str, Stimulus], *, answered: int
) -> Iterator[list[Answer]]:
    """Yield answers behind the teacher prompt, then those that want the student prompt.

    Each time the likeliest come first, where they are asked for.

    What is refused stops no other question, and gets a row with the reason in the place of an
    answer: asked again it would be refused again. Where more is refused than answered (earlier
    runs have `answered`), it is rather a setting that is refused, and an error.
    """
    reasons: dict[str, str] = {}
    for student, likeliest in ((False, True), (False, False), (True, True), (True, False)):
        asked = {
            key: AnswerRequest(key, s.messages, s.values)
            for key, s in missing.items()
            if (s.rollout_with == "student") == student
            and _is_likeliest(request, key, s) == likeliest
        }
        prompt = request.student if student and request.student is not None else request.teacher
        sampling = request.sampling
        sampling = replace(sampling, temperature=0.0) if likeliest else sampling
        while asked:
            try:
                for batch in sampler.answers(list(asked.values()), prompt, sampling):
                    answered += len(batch)
                    yield batch
                    for answer in batch:
                        del asked[answer.key]
                break
            except RefusedError as error:
                refused = error
                reasons |= error.reasons
            if refused.gave_up and not answered:
                raise refused
            asked = {k: r for k, r in asked.items() if k not in reasons and refused.gave_up}
    if len(reasons) > answered:
        why = _refusals({missing[key].id: why for key, why in reasons.items()}, missing.values())
        raise StageError(f"{sampler.name}: {why}", hint=refused.hint)
    if reasons:
        yield [Answer(key, (), why, REFUSED) for key, why in reasons.items()]


def _is_likeliest(request: RolloutRequest, key: str, stimulus: Stimulus) -> bool:
    """Tell whether an answer is the likeliest one instead of one that is drawn."""
    is_first = key.endswith("/0")
    return request.sampling.likeliest_first and is_first and stimulus.is_written_out


REFUSED = "refused"
"""How a row ends that has no answer, and in its text the reason."""
MOST_NAMED, MOST_CHARS = 3, 60
"""How many refused questions a note names, and how much of each."""


def sampled_as(out: Path) -> SamplingSettings:
    """Return how the answers of a target were sampled."""
    path = out / results.REQUEST
    try:
        asked = SamplingSettings(**results.whole(path)["sampling"])
    except (TypeError, KeyError) as error:
        raise StageError(
            f"{path} is damaged: it does not say how answers were sampled",
            hint=f"Delete {out / results.DONE} and run the same command again: what is there is "
            "kept.",
        ) from error
    found = limit.written(out)
    return replace(asked, max_tokens=found.max_tokens) if found else asked


def _refusals(reasons: Mapping[str, str], asked: Iterable[Stimulus]) -> str:
    """Return which questions were refused, each with its reason, by their ids."""
    texts = {stimulus.id: user_text(stimulus.messages) for stimulus in asked}
    named = [f'"{_short(texts[key])}": {why}' for key, why in list(reasons.items())[:MOST_NAMED]]
    count = len(reasons)
    more = [f"and {count - MOST_NAMED} more"] if count > MOST_NAMED else []
    return f"{count} question{'s' * (count > 1)} refused: {'; '.join(named + more)}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST_CHARS else f"{line[: MOST_CHARS - 1]}…"


def _key(target_id: str, stimulus_id: str, sample: int) -> str:
    return f"{target_id}/{stimulus_id}/{sample}"


def _trajectory(answer: Answer, stimulus: Stimulus, sample: int, model: str) -> Trajectory:
    return Trajectory(stimulus.id, sample, answer.ids, answer.text, answer.finish, model)
