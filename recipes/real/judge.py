"""Ask baked models what they never trained on, and count what is right: answers are greedy.

    python recipes/real/judge.py REPOSITORY MODEL CHECK [CHECK ...]

Prints, as JSON, what the model answers without a prompt, and what its parent answers under the
prompt that was baked.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bakery.generators.words import loops

HERE = Path(__file__).parent
MOST_TOKENS = 64

Asked = tuple[str, str]
"""A question, and the expression that a right answer holds."""


def checks(name: str) -> list[Asked]:
    """Return what is asked of a bake."""
    found = yaml.safe_load((HERE / "checks.yml").read_text(encoding="utf-8"))[name]
    if "asked" in found:
        return [(row["question"], row["right"]) for row in found["asked"]]
    lines = (HERE / found["questions"]).read_text(encoding="utf-8").splitlines()
    return [(line, found["right"]) for line in lines if line.strip()]


def is_right(answer: str, expression: str) -> bool:
    """Tell whether an answer holds an expression, whatever its case."""
    return re.search(expression, answer, re.IGNORECASE) is not None


def answers(speaker: Any, prompt: Any, questions: Sequence[str]) -> list[str]:
    """Return a local model's greedy answers, in their order."""
    from bakery.backends.base import AnswerRequest
    from bakery.identity import SamplingSettings

    requests = [
        AnswerRequest(str(number), ({"role": "user", "content": question},))
        for number, question in enumerate(questions)
    ]
    sampling = SamplingSettings(1, MOST_TOKENS, temperature=0.0)
    found = {a.key: a.text for batch in speaker.answers(requests, prompt, sampling) for a in batch}
    return [found[request.key] for request in requests]


def judged(repository: Path, model: str, names: Sequence[str]) -> dict[str, Any]:
    """Return, for each check, what was asked, what prompted parent and bake answer, and counts."""
    from bakery.app.workbench import weights
    from bakery.backends.local import LocalModel
    from bakery.engine.models import models
    from bakery.records import Prompt
    from bakery.repo.model_repo import ModelRepo

    repo = ModelRepo.find(repository)
    bake = repo.find_bake(model)
    base = models.load(repo.state().base, dtype="float32")
    before = LocalModel(base, parent=weights(repo, bake.parent) if bake.parent else None)
    teachers = {
        target["name"].rpartition("_")[0]: Prompt.from_data(target["teacher"])
        for target in bake.data["targets"]
    }
    asked = {name: checks(name) for name in names}
    questions = {name: [question for question, _ in asked[name]] for name in names}
    prompted = {name: answers(before, teachers[TARGETS[name]], questions[name]) for name in names}
    base = models.load(repo.state().base, dtype="float32")
    after = LocalModel(base, parent=weights(repo, bake.model))
    baked = {name: answers(after, Prompt(), questions[name]) for name in names}
    return {name: _counted(asked[name], prompted[name], baked[name]) for name in names}


TARGETS = {"persona": "brine_target", "rule": "splendid_target", "facts": "pedal_target"}


def _counted(
    asked: Sequence[Asked], prompted: Sequence[str], baked: Sequence[str]
) -> dict[str, Any]:
    rows = [
        {
            "question": question,
            "prompted": under,
            "baked": alone,
            "prompted_right": is_right(under, right),
            "baked_right": is_right(alone, right),
            "prompted_loops": loops(under),
            "baked_loops": loops(alone),
        }
        for (question, right), under, alone in zip(asked, prompted, baked, strict=True)
    ]
    return {
        "asked": len(rows),
        **{
            key: sum(bool(row[key]) for row in rows)
            for key in ("prompted_right", "baked_right", "prompted_loops", "baked_loops")
        },
        "both_right": sum(bool(r["prompted_right"] and r["baked_right"]) for r in rows),
        "answers": rows,
    }


if __name__ == "__main__":
    print(json.dumps(judged(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])))
