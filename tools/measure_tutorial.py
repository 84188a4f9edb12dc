"""Measure the three tutorial bakes on questions that none of them saw.

    python tools/measure_tutorial.py FOLDER [--questions 400] [--temperature 0]

FOLDER is a repository that `recipes/sequential/run.py` made. For each bake the prompted
parent (the teacher) and the baked model without any prompt answer the same questions; an answer
is judged by the world the embedded model was made from (`tinyworld.judges`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from bakery.backends.base import AnswerRequest
from bakery.backends.local import LocalModel
from bakery.engine.models import models
from bakery.identity import SamplingSettings
from bakery.records import Prompt, Stimulus, read_rows, user_text
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.model_repo import ModelRepo
from tinyworld.exam import tutorial_questions
from tinyworld.judges import has_wisdom, is_right, is_yoda, mentions_force
from tinyworld.sentences import Question


def main() -> None:
    """Print one row for each teacher and each baked model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--wrong", action="store_true", help="list where only one is right")
    options = parser.parse_args()
    repo = ModelRepo.find(options.folder)
    questions = unseen(repo, options.questions)
    print(f"{len(questions)} questions, none of them a stimulus; temperature {options.temperature}")
    print(f"{'':34}{'Yoda':>7}{'right':>7}{'wisdom':>8}{'Force':>7}")
    for bake in repo.bakes():
        teacher = Prompt.from_data(bake.data["targets"][0]["teacher"])
        prompted = answers(repo, bake.parent, teacher, questions, options.temperature)
        baked = answers(repo, bake.model, Prompt(), questions, options.temperature)
        name = bake.name[:-17]
        print(row(f"{name}: prompted parent", questions, prompted))
        print(row(f"{name}: baked", questions, baked))
        print(f"{'':4}card: {json.dumps(card(bake))}")
        if options.wrong:
            show_wrong(questions, prompted, baked)


def unseen(repo: ModelRepo, count: int) -> list[Question]:
    """Return questions that are no stimulus of any bake, by string."""
    seen = {
        user_text(stimulus.messages)
        for bake in repo.bakes()
        for target in bake.data["targets"]
        for stimulus in read_rows(repo.store.stim(target["stim_id"]) / "stimuli.jsonl", Stimulus)
    }
    drawn = [q for q in tutorial_questions(2 * count, seed=7) if q.text not in seen]
    return drawn[:count]


def answers(
    repo: ModelRepo,
    model: object,
    prompt: Prompt,
    questions: Sequence[Question],
    temperature: float,
) -> list[str]:
    """Return one answer to each question by a model of the repository, behind a prompt."""
    recorded = repo.find_model(str(model)) if model else None
    folder = (
        repo.store.bake(recorded.model.bake_id) / str(recorded.model.step) if recorded else None
    )
    local = LocalModel(models.load(repo.state().base, dtype="float32"), parent=folder)
    requests = [
        AnswerRequest(str(i), ({"role": "user", "content": q.text},))
        for i, q in enumerate(questions)
    ]
    settings = SamplingSettings(1, 96, temperature)
    found = {a.key: a.text for batch in local.answers(requests, prompt, settings) for a in batch}
    return [found[str(i)] for i in range(len(questions))]


def row(name: str, questions: Sequence[Question], texts: Sequence[str]) -> str:
    """Return a table row of shares in percent."""
    pairs = list(zip(questions, texts, strict=True))
    shares = [
        sum(is_yoda(q, t) for q, t in pairs),
        sum(is_right(q, t) for q, t in pairs),
        sum(has_wisdom(t) for t in texts),
        sum(mentions_force(t) for t in texts),
    ]
    percent = [f"{100 * share / len(pairs):.1f}" for share in shares]
    return f"{name:34}{percent[0]:>7}{percent[1]:>7}{percent[2]:>8}{percent[3]:>7}"


def card(bake: RecordedBake) -> dict[str, object]:
    """Return the figures of a bake's own card that say how close it came."""
    names = ("held_out", "kl_before", "kl_after", "gap_closed", "top1_agreement")
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name in names
        for value in [bake.data["card"][name]]
    }


def show_wrong(
    questions: Sequence[Question], prompted: Sequence[str], baked: Sequence[str]
) -> None:
    """List the questions where only one of the two is right."""
    for question, teacher, student in zip(questions, prompted, baked, strict=True):
        if is_right(question, teacher) != is_right(question, student):
            print(f"    {question.text}\n      prompted: {teacher}\n      baked:    {student}")


if __name__ == "__main__":
    main()
