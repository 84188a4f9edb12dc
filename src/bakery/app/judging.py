"""A model says yes or no to an answer, by the rubric of a test."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bakery.app.opening import Models
from bakery.errors import ConfigError
from bakery.identity import short_id
from bakery.schema.model_names import BASE, EMBEDDED
from bakery.schema.tests import Case, Judge, Suite

if TYPE_CHECKING:
    from bakery.backends.base import QuestionWriter
    from bakery.evals.checks import Outcome

MOST_TOKENS = 256
"""Of a judge's reply: yes or no is one, but some think aloud before it."""

ASKED = """\
You check whether an answer keeps to a rule.

The rule: {rubric}

The question:
{question}

The answer:
{answer}

Does the answer keep to the rule? Reply with one word, yes or no."""


class Judges:
    """The models that judge in a run of tests; the same text is judged once."""

    def __init__(self, models: Models, base: str) -> None:
        """`base` is the name of the model that `base` means."""
        self._models, self._base = models, base
        self._said: dict[str, str] = {}
        self._open: tuple[str, QuestionWriter] | None = None

    def check(self, suite: Suite) -> None:
        """Refuse judges that cannot be asked, before any model is loaded."""
        for number, case in enumerate(suite.tests):
            if case.judge is None:
                continue
            name, at = case.judge.model, f"judge of {suite.name(number)}"
            if (self._base if name in (BASE, self._base) else name) in EMBEDDED:
                raise _follows_nothing(name, at)
            if self._models.is_hosted(name) and (why := self._models.cannot_ask(name)):
                raise ConfigError(
                    f"{name}, {at}, cannot be asked: {why}",
                    hint="Set it in the environment, or name another model.",
                )

    def judged(self, case: Case, text: str) -> Outcome:
        """Return what a test's judge says to an answer."""
        from bakery.evals.checks import Outcome

        assert case.judge is not None  # who has none is not judged
        reply = self._reply(case.judge, case.asked, text)
        found = _BEGINNING.match(_THOUGHT.sub("", reply).lower())
        if found is None:
            said = f'"{reply.strip():.60}"'
            why = f"{case.judge.model} began with neither yes nor no, but with {said}"
            return Outcome("judge", False, why)
        is_so = found.group("word") == "yes"
        why = "" if is_so else f"{case.judge.model} says no: {case.judge.rubric}"
        return Outcome("judge", is_so, why)

    def _reply(self, judge: Judge, question: str, text: str) -> str:
        from bakery.backends.base import Wish

        asked = ASKED.format(rubric=judge.rubric, question=question, answer=text)
        key = short_id(["judge", judge.model, asked])
        if key not in self._said:
            wish = Wish(asked, key, 1, 0.0, MOST_TOKENS, lists=1)
            replies: Sequence[str] = [r.text for r in self._asked(judge.model).write(wish)]
            self._said[key] = replies[0] if replies else ""
        return self._said[key]

    def _asked(self, name: str) -> QuestionWriter:
        if self._open is None or self._open[0] != name:
            writer, instead = self._models.writer(name)
            if instead is not None:
                raise ConfigError(
                    f"{name} cannot judge: {instead.split(': ', 1)[-1].split(';')[0]}",
                    hint="Set it in the environment, or name another model.",
                )
            if writer.speaks_as_user:
                raise _follows_nothing(name, "judge")
            self._open = name, writer
        return self._open[1]


# Where the template opens the thought, a reply has its end alone.
_THOUGHT = re.compile(r"\A.*</think>|<think>.*\Z", re.DOTALL)
_BEGINNING = re.compile(
    r"[\W_]*(?P<word>yes|no)\b"
    # What begins with these words and says something else: "yes or no", "no doubt".
    r"(?![-/\s]+(?:(?:and|or)\s+)?(?:yes|no|doubt|question|problem|one)\b)"
)


def _follows_nothing(name: str, at: str) -> ConfigError:
    return ConfigError(
        f"{name}, {at}, follows no instructions: it cannot say yes or no to an answer",
        hint="Name an instruct model: a hosted one, a folder or a hub id.",
    )
