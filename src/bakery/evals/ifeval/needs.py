"""What each kind of instruction has to name, so that its check looks at what was meant.

A checker takes what it is told at its word: a text for a list, or a relation that nobody knows,
would score every answer wrongly without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

RELATIONS = ("less than", "at least")

Need = tuple[str, Callable[[Any], bool]]


def _is_count(value: Any) -> bool:
    """Tell whether a value is a whole number of at least one: of none, nothing is asked."""
    return _is_whole(value) and int(value) >= 1


def _is_whole(value: Any) -> bool:
    """Tell whether a value is a whole number from 0 on, as tables (3.0) and texts write it, too."""
    if isinstance(value, float):
        return value.is_integer() and value >= 0
    if isinstance(value, str):
        return value.isascii() and value.isdecimal() and len(value) < 10
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_marked(value: Any) -> bool:
    """Tell whether a text has a letter or digit."""
    return isinstance(value, str) and any(map(str.isalnum, value))


_COUNT: Need = ("a whole number from 1 on", _is_count)
_WHOLE: Need = ("a whole number from 0 on", _is_whole)
_TEXT: Need = ("a text", _is_text)
_WORD: Need = ("a text with a letter or digit", _is_marked)
_TEXTS: Need = (
    "a list of texts",
    lambda value: isinstance(value, list | tuple) and bool(value) and all(map(_is_text, value)),
)
_RELATION: Need = (" or ".join(f"`{one}`" for one in RELATIONS), lambda value: value in RELATIONS)

NEEDS: Mapping[str, Mapping[str, Need]] = {
    "change_case:capital_word_frequency": {
        "capital_relation": _RELATION,
        "capital_frequency": _COUNT,
    },
    "combination:repeat_prompt": {"prompt_to_repeat": _TEXT},
    "detectable_content:number_placeholders": {"num_placeholders": _COUNT},
    "detectable_content:postscript": {"postscript_marker": _WORD},
    "detectable_format:multiple_sections": {"section_spliter": _TEXT, "num_sections": _COUNT},
    "detectable_format:number_bullet_lists": {"num_bullets": _WHOLE},
    "detectable_format:number_highlighted_sections": {"num_highlights": _COUNT},
    "keywords:existence": {"keywords": _TEXTS},
    "keywords:forbidden_words": {"forbidden_words": _TEXTS},
    "keywords:frequency": {"keyword": _TEXT, "relation": _RELATION, "frequency": _COUNT},
    "keywords:letter_frequency": {
        "letter": _TEXT,
        "let_relation": _RELATION,
        "let_frequency": _COUNT,
    },
    "language:response_language": {"language": _TEXT},
    "length_constraints:nth_paragraph_first_word": {
        "num_paragraphs": _COUNT,
        "nth_paragraph": _COUNT,
        "first_word": _WORD,
    },
    "length_constraints:number_paragraphs": {"num_paragraphs": _COUNT},
    "length_constraints:number_sentences": {"relation": _RELATION, "num_sentences": _COUNT},
    "length_constraints:number_words": {"relation": _RELATION, "num_words": _COUNT},
    "startend:end_checker": {"end_phrase": _TEXT},
}


def problem(kind: str, told: Mapping[str, Any]) -> str:
    """Return what an instruction does not say as its check needs it, as a sentence; "": nothing."""
    for key, (what, is_right) in NEEDS.get(kind, {}).items():
        if key not in told:
            return f"{kind} has no `{key}`: {what} is needed"
        if not is_right(told[key]):
            return f"`{key}` of {kind} is {repr(told[key])[:60]}, and not {what}"
    return ""
