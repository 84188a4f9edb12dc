"""Whether an answer does what an instruction says: a checker for each kind, by its name.

A checker takes the answer and what the instruction names, and is a pure function.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from bakery.evals import language

Check = Callable[[str, Mapping[str, Any]], bool]

_WORD = re.compile(r"\w+")
_SHOUTED = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SENTENCE = re.compile(r"[.!?。！？]+[\"'”’)\]]*(?=\s|$)")
_TITLES = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e)\.", re.IGNORECASE)
_MARKS = "\"'“”‘’.,!?:;()*#"
_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def count_sentences(text: str) -> int:
    """Return how many sentences a text has: what ends in a mark, and a rest without one."""
    text = _TITLES.sub(lambda found: found[0].replace(".", ""), text)
    return sum(1 for part in _SENTENCE.split(text) if _WORD.search(part))


def _compared(found: int, relation: str, wanted: int) -> bool:
    return found < wanted if relation == "less than" else found >= wanted


def _parts(answer: str, mark: str) -> list[str] | None:
    """Return what a mark parts; None: something in the middle is empty."""
    parts = [part.strip() for part in re.split(mark, answer)]
    if not all(parts[1:-1]):
        return None
    return [part for part in parts if part]


def _capital_words(answer: str, told: Mapping[str, Any]) -> bool:
    shouted = sum(word.isupper() for word in _SHOUTED.findall(answer))
    return _compared(shouted, told["capital_relation"], int(told["capital_frequency"]))


def _repeats(answer: str, told: Mapping[str, Any]) -> bool:
    return answer.strip().lower().startswith(str(told["prompt_to_repeat"]).strip().lower())


def _two_responses(answer: str, told: Mapping[str, Any]) -> bool:
    parts = _parts(answer, r"\*{6}")
    return parts is not None and len(parts) == 2 and parts[0] != parts[1]


def _placeholders(answer: str, told: Mapping[str, Any]) -> bool:
    return len(re.findall(r"\[[^\[\]\n]*\]", answer)) >= int(told["num_placeholders"])


def _postscript(answer: str, told: Mapping[str, Any]) -> bool:
    marker = str(told["postscript_marker"]).strip()
    letters = re.sub(r"[.\s]", "", marker)
    is_short = re.fullmatch("[A-Za-z]{1,3}", letters) is not None  # P.S. and P.P.S
    mark = r"\.\s?".join(letters) if is_short else re.escape(marker)
    return re.search(rf"^\s*{mark}(?!\w)", answer, re.IGNORECASE | re.MULTILINE) is not None


def _constrained(answer: str, told: Mapping[str, Any]) -> bool:
    return any(one in answer for one in _ANSWERS)


def _json(answer: str, told: Mapping[str, Any]) -> bool:
    text = re.sub(r"^```(?:json)?|```$", "", answer.strip(), flags=re.IGNORECASE).strip()
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _sections(answer: str, told: Mapping[str, Any]) -> bool:
    mark = re.escape(str(told["section_spliter"]).strip())
    return len(re.findall(rf"{mark}\s?\d+", answer)) >= int(told["num_sections"])


def _bullets(answer: str, told: Mapping[str, Any]) -> bool:
    found = re.findall(r"^\s*(?:\*[^*\n]|-\s?[^-\n])", answer, re.MULTILINE)
    return len(found) == int(told["num_bullets"])


def _highlights(answer: str, told: Mapping[str, Any]) -> bool:
    double = re.findall(r"\*\*([^*\n]+)\*\*", answer)
    single = re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", answer)
    found = sum(bool(text.strip()) for text in (*double, *single))
    return found >= int(told["num_highlights"])


def _title(answer: str, told: Mapping[str, Any]) -> bool:
    return any(found.strip("<> ") for found in re.findall(r"<<([^\n]+?)>>", answer))


def _has_all(answer: str, told: Mapping[str, Any]) -> bool:
    return all(str(word).lower() in answer.lower() for word in told["keywords"])


def _has_none(answer: str, told: Mapping[str, Any]) -> bool:
    return not any(_counted(answer, word, whole=True) for word in told["forbidden_words"])


def _keyword(answer: str, told: Mapping[str, Any]) -> bool:
    found = _counted(answer, told["keyword"])
    return _compared(found, told["relation"], int(told["frequency"]))


def _counted(answer: str, word: str, *, whole: bool = False) -> int:
    mark = re.escape(str(word).strip())
    # Not \b: of C++ no word ends behind the last sign.
    pattern = rf"(?<!\w){mark}(?!\w)" if whole else mark
    return len(re.findall(pattern, answer, re.IGNORECASE))


def _letter(answer: str, told: Mapping[str, Any]) -> bool:
    found = answer.lower().count(str(told["letter"]).lower())
    return _compared(found, told["let_relation"], int(told["let_frequency"]))


def _language(answer: str, told: Mapping[str, Any]) -> bool:
    return language.problem(answer, str(told["language"])) == ""


def _first_word(answer: str, told: Mapping[str, Any]) -> bool:
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", answer) if part.strip()]
    nth = int(told["nth_paragraph"])
    if len(paragraphs) != int(told["num_paragraphs"]) or not 0 < nth <= len(paragraphs):
        return False
    word = paragraphs[nth - 1].split()[0].strip(_MARKS)
    return word.lower() == str(told["first_word"]).strip().strip(_MARKS).lower()


def _paragraphs(answer: str, told: Mapping[str, Any]) -> bool:
    parts = _parts(answer, r"(?<!\*)\*\*\*(?!\*)")
    return parts is not None and len(parts) == int(told["num_paragraphs"])


def _sentences(answer: str, told: Mapping[str, Any]) -> bool:
    return _compared(count_sentences(answer), told["relation"], int(told["num_sentences"]))


def _words(answer: str, told: Mapping[str, Any]) -> bool:
    return _compared(len(_WORD.findall(answer)), told["relation"], int(told["num_words"]))


def _ends(answer: str, told: Mapping[str, Any]) -> bool:
    said = answer.strip().strip('"').lower()
    return said.endswith(str(told["end_phrase"]).strip().lower())


def _quoted(answer: str, told: Mapping[str, Any]) -> bool:
    said = answer.strip()
    return len(said) > 1 and said[0] == '"' and said[-1] == '"'


CHECKS: Mapping[str, Check] = {
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": lambda answer, told: answer.isupper(),
    "change_case:english_lowercase": lambda answer, told: answer.islower(),
    "combination:repeat_prompt": _repeats,
    "combination:two_responses": _two_responses,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:constrained_response": _constrained,
    "detectable_format:json_format": _json,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:title": _title,
    "keywords:existence": _has_all,
    "keywords:forbidden_words": _has_none,
    "keywords:frequency": _keyword,
    "keywords:letter_frequency": _letter,
    "language:response_language": _language,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_words": _words,
    "punctuation:no_comma": lambda answer, told: "," not in answer,
    "startend:end_checker": _ends,
    "startend:quotation": _quoted,
}
