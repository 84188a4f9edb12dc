"""Questions with known answers: how many does a model get right, judged by whole words.

What a model thinks aloud is not an answer: reasoning is removed first, even if it was never
closed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peft import PeftModel

from bakery.engine.sampling.sampling import SampleRequest, Watch
from bakery.engine.sampling.speaker import Speaker
from bakery.engine.text.chat import Chat
from bakery.engine.workers import ALONE, Worker
from bakery.identity import SamplingSettings
from bakery.records import Message, Prompt
from bakery.reporting import Reporter

SHOWN_CHARS = 200

# Han with its marks, Kana and Bopomofo, Hangul, Thai, Lao, Myanmar, Khmer: between their words
# stands no space, or (in Korean) a particle follows without one.
_UNSPACED_CLASS = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303c\u3040-\u30ff\u3100-\u312f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
    "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"
    "\u0e00-\u0eff\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f\u1780-\u17ff\u19e0-\u19ff"
)
_UNSPACED = re.compile(f"[{_UNSPACED_CLASS}]")
_WORD = rf"[^\W_{_UNSPACED_CLASS}]"  # not the underscore, which emphasises: _Paris_
_NO_WORD_BEFORE, _NO_WORD_AFTER = f"(?<!{_WORD})", f"(?!{_WORD})"
# No digits before a point, no point that begins a number, no exponent, and no sign: a minus is one
# unless it stands behind what it could be taken from, as in 3-5.
_NO_NUMBER_BEFORE = rf"(?<!\d\.)(?<!(?<![\w.])\.)(?<!\de[-+])(?<!(?<!{_WORD})(?<!\))-)"
_NO_NUMBER_AFTER = r"(?!\.\d)"
_SAME = str.maketrans({"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{SOFT HYPHEN}": None,
                       "\N{RIGHT SINGLE QUOTATION MARK}": "'"})  # fmt: skip
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d)")

Scores = dict[str, Any]


@dataclass(frozen=True, slots=True)
class QuestionAnswer:
    """A question, and the strings of which any one makes an answer right."""

    question: str
    accepted: tuple[str, ...]


class Questions:
    """Questions with keywords, asked without the context, under it, and of the baked model."""

    def __init__(
        self,
        chat: Chat,
        asked: Mapping[str, Sequence[QuestionAnswer]],
        prefix: Sequence[Message] | None,
        left: Sequence[Message],
        *,
        max_tokens: int,
        worker: Worker = ALONE,
    ) -> None:
        """`left` is what of the prefix stays at inference: it is there before the bake, too."""
        self._chat, self._asked = chat, asked
        self._max_tokens, self._worker = max_tokens, worker
        self._prefix, self._left = prefix, left

    def before(self, model: Any, reporter: Reporter) -> Scores:
        """Score the model without the context, and where all rows share one, under it."""
        found: Scores = {}
        for name, pairs in self._asked.items():
            label = "baseline" if name == "eval" else "heldout"
            found[f"{label}_none"] = self._score(model, pairs, self._left, reporter)
            if self._prefix:
                found[f"{label}_discrete"] = self._score(model, pairs, self._prefix, reporter)
        if self._asked and not self._prefix:
            reporter.note("rows bring their own context, so no baseline under it can be measured")
        return found

    def after(self, student: PeftModel, reporter: Reporter) -> Scores:
        """Score the baked model, without the context."""
        student.eval()
        return {
            f"baked_{name}": self._score(student, pairs, self._left, reporter)
            for name, pairs in self._asked.items()
        }

    def _score(
        self,
        model: Any,
        pairs: Sequence[QuestionAnswer],
        context: Sequence[Message],
        reporter: Reporter,
    ) -> Scores:
        """Ask every process its share of the questions."""
        rank, world = self._worker.rank, self._worker.count
        reporter.progress("ask", 0, len(pairs))
        mine = ask(
            model,
            self._chat,
            [pair.question for pair in pairs[rank::world]],
            Prompt(tuple(context)),
            max_new_tokens=self._max_tokens,
            watch=reporter.partly,
        )
        numbered = list(zip(range(rank, len(pairs), world), mine, strict=True))
        said = dict(self._worker.gather(numbered))
        reporter.progress("ask", len(pairs), len(pairs))
        return score(pairs, [said[at] for at in range(len(pairs))])


def score(pairs: Sequence[QuestionAnswer], responses: Sequence[str]) -> dict[str, Any]:
    """Return accuracy, counts, and each response with its verdict."""
    results = [
        {
            "question": pair.question,
            "response": answer_of(response)[:SHOWN_CHARS],
            "correct": is_correct(response, pair.accepted),
        }
        for pair, response in zip(pairs, responses, strict=True)
    ]
    correct = sum(bool(result["correct"]) for result in results)
    return {
        "accuracy": correct / len(results),
        "correct": correct,
        "total": len(results),
        "results": results,
    }


def ask(
    model: Any,
    chat: Chat,
    questions: Sequence[str],
    prompt: Prompt,
    *,
    max_new_tokens: int,
    watch: Watch | None = None,
) -> list[str]:
    """Return the model's likeliest answer to every question behind `prompt`, in batches.

    `watch` is told how far a batch is.
    """
    settings = SamplingSettings(1, max_new_tokens, temperature=0)
    requests = [
        SampleRequest(str(at), tuple(chat.prefix_ids(prompt, [{"role": "user", "content": text}])))
        for at, text in enumerate(questions)
    ]
    said = Speaker(model, chat, watch).all(requests, settings)
    return [chat.thought_begun(r.prefix_ids) + chat.text(said[r.key].ids) for r in requests]


def is_correct(response: str, accepted: Sequence[str]) -> bool:
    """Tell whether an accepted string occurs as whole words or a whole number.

    Case does not matter, nor which of several equal ways a text is written in.
    """
    said = _normal(answer_of(response))
    return any(_whole(_normal(text)).search(said) for text in accepted)


def answer_of(response: str) -> str:
    """Return a response without its reasoning; reasoning that never ends leaves nothing."""
    # Without its beginning, too: who scores a file may have only what the model wrote.
    rest = response.rsplit("</think>", 1)[-1]
    return rest.split("<think>", 1)[0].strip()


def _whole(text: str) -> re.Pattern[str]:
    """Return what finds a keyword where it is no part of a longer word or number."""
    before = "" if _UNSPACED.match(text[:1]) else _NO_WORD_BEFORE
    after = "" if _UNSPACED.match(text[-1:]) else _NO_WORD_AFTER
    if text[:1].isdigit():
        before += _NO_NUMBER_BEFORE
    # "Python 3" is right where 3.11 is said; of 3 alone, or of $3, that is not known.
    if text[-1:].isdigit() and not any(map(str.isalpha, text)):
        after += _NO_NUMBER_AFTER
    return re.compile(before + re.escape(text) + after)


def _normal(text: str) -> str:
    """Return a text with one way to write each character, case, space, minus and number."""
    folded = unicodedata.normalize("NFKC", text.translate(_SAME)).casefold()
    return _THOUSANDS.sub(lambda match: match[0].replace(",", ""), " ".join(folded.split()))
