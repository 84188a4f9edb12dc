"""Is an answer what a test wants: pure, one outcome for each check.

A judge's word comes from a model, so it is asked for elsewhere (`app.judging`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bakery import bounded, json_file
from bakery.brief import brief
from bakery.evals import language
from bakery.schema import answer_shape
from bakery.schema.tests import Case

SHOWN = 60
"""Characters of a text that a reason shows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a side said to the last question of a test. `is_cut`: it would have gone on."""

    text: str
    tokens: int
    is_cut: bool = False
    before: tuple[str, ...] = ()
    """What it said itself in the turns before that the test leaves open."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check of one answer. `why`: what was expected instead; "" where it passed."""

    check: str
    passed: bool
    why: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def checked(case: Case, answer: Answer, prompted: Answer | None) -> list[Outcome]:
    """Return what comes of a test's checks, but for its judge, in their order.

    `prompted` is the prompted model's answer; None: there is no such model, and what compares with
    it is left out.
    """
    return [
        Outcome(name, not why, why)
        for name in case.checks
        if name != "judge" and not (name == "same_as_prompted" and prompted is None)
        for why in [_CHECKS[name](case, answer, prompted)]
    ]


def same_as_prompted(text: str, prompted: str) -> str:
    """Return how an answer says something else than the prompted model's; "": it does not.

    Small and capital letters, blanks and what ends a sentence do not count. Stricter than a verdict
    (`evals.agreement`), which lets other words for the same pass: who writes a test can name those.
    """
    if _normal(text) == _normal(prompted):
        return ""
    own, wanted = sorted(_NUMBER.findall(text)), sorted(_NUMBER.findall(prompted))
    if own != wanted:
        return f"numbers {_listed(own)}, expected {_listed(wanted)} as the prompted model says"
    return f'expected "{brief(prompted, SHOWN)}" as the prompted model says'


def _contains(case: Case, answer: Answer, _: Answer | None) -> str:
    missing = [text for text in case.contains if not _is_in(text, answer.text, case)]
    return f"expected {_quoted(missing)}" if missing else ""


def _contains_any(case: Case, answer: Answer, _: Answer | None) -> str:
    found = any(_is_in(text, answer.text, case) for text in case.contains_any)
    return "" if found else f"expected {_quoted(case.contains_any, ' or ')}"


def _not_contains(case: Case, answer: Answer, _: Answer | None) -> str:
    found = [text for text in case.not_contains if _is_in(text, answer.text, case)]
    return f"expected no {_quoted(found)}" if found else ""


def _equals(case: Case, answer: Answer, _: Answer | None) -> str:
    wanted = str(case.equals)
    is_so = _folded(answer.text.strip(), case) == _folded(wanted.strip(), case)
    return "" if is_so else f'expected "{brief(wanted, SHOWN)}" and nothing else'


def _regex(case: Case, answer: Answer, _: Answer | None) -> str:
    pattern = str(case.regex)
    try:
        found = bounded.call(_search, pattern, answer.text)
    except (bounded.BeyondError, bounded.FailedError) as error:
        return f"/{brief(pattern, SHOWN)}/ is not through with this answer: {error}"
    return "" if found else f"expected a match of /{brief(pattern, SHOWN)}/"


def _json_schema(case: Case, answer: Answer, _: Answer | None) -> str:
    fenced = _FENCE.fullmatch(answer.text.strip())
    try:
        value = json_file.parse(fenced["inner"] if fenced else answer.text)
        return answer_shape.mismatch(value, case.json_schema or {})
    except (json_file.DamagedError, RecursionError) as error:
        return f"expected JSON: {error}"


def _max_tokens(case: Case, answer: Answer, _: Answer | None) -> str:
    over = answer.is_cut or answer.tokens > int(case.max_tokens or 0)
    return f"expected an end within {case.max_tokens} tokens" if over else ""


def _language(case: Case, answer: Answer, _: Answer | None) -> str:
    found = language.problem(answer.text, str(case.language))
    return f"expected language {case.language}: {found}" if found else ""


def _same_as_prompted(_: Case, answer: Answer, prompted: Answer | None) -> str:
    assert prompted is not None  # or the check is left out
    return same_as_prompted(answer.text, prompted.text)


_CHECKS: Mapping[str, Callable[[Case, Answer, Answer | None], str]] = {
    "contains": _contains,
    "contains_any": _contains_any,
    "not_contains": _not_contains,
    "equals": _equals,
    "regex": _regex,
    "json_schema": _json_schema,
    "max_tokens": _max_tokens,
    "language": _language,
    "same_as_prompted": _same_as_prompted,
}

_FENCE = re.compile(r"```[a-zA-Z]*\n(?P<inner>.*?)\n?```", re.DOTALL)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


def _search(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


def _is_in(text: str, answer: str, case: Case) -> bool:
    return _folded(text, case) in _folded(answer, case)


def _folded(text: str, case: Case) -> str:
    """Return a text as it is compared: blanks and line ends are all alike, and so is é in one piece
    or in two."""
    text = unicodedata.normalize("NFC", text)
    text = " ".join(text.split()) if text.strip() else text
    return text if case.case_sensitive else text.casefold()


def _normal(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    return " ".join(text.casefold().split()).rstrip(".!… ")


def _quoted(texts: Sequence[str], joint: str = " and ") -> str:
    return joint.join(f'"{brief(text, SHOWN)}"' for text in texts)


def _listed(numbers: Iterable[str]) -> str:
    return ", ".join(numbers) or "none"
