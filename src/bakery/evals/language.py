"""Which language a text is in: by its letters, and for those that share them by its small words.

Deterministic and small. It tells the languages that it knows apart where a text has a sentence or
two; of a few words it only says which letters they have.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

SMALL_WORDS: Mapping[str, frozenset[str]] = {
    code: frozenset(words.split())
    for code, words in {
        "de": "der die das und ist nicht ich sie es ein eine mit auf für von zu den dem wir ihr "
        "sind wird auch wie kann haben hat bei oder aber nur noch mein dein im am",
        "en": "the and is not i you it a an with on for of to we they are was be this that your my "
        "can have has at or but in as do does what",
        "es": "el la los las y es no yo un una con en para de que se por su mi lo como pero más "
        "está son del al muy nos hay usted",
        "fr": "le la les et est pas je vous il elle un une avec sur pour de des du que qui se nous "
        "ce dans mon votre sont au mais ne plus en",
        "it": "il lo la gli e è non io un una con su per di che si mi ma sono del della nel come "
        "più questo anche ha le al ci",
        "nl": "de het een en is niet ik je u met op voor van te we zijn wij dat die ook maar als "
        "kan heeft mijn uw bij om er",
        "pt": "o a os as e é não eu um uma com em para de que se por seu sua meu mas mais são do "
        "da no na ao você está",
    }.items()
}
"""The words that sentences of a language are held together by."""

_SCRIPTS: Mapping[str, str] = {
    "ar": "ARABIC", "el": "GREEK", "he": "HEBREW", "hi": "DEVANAGARI", "ko": "HANGUL",
    "ru": "CYRILLIC", "uk": "CYRILLIC", "th": "THAI", "zh": "CJK", "ja": "KANA",
}  # fmt: skip
_ONLY = {"uk": frozenset("іїєґ"), "ru": frozenset("ыэъё")}
"""Letters of one of two languages that share all others."""

FEW_WORDS = 4
"""So many words may have no small word among them."""


def problem(text: str, code: str) -> str:
    """Return why a text is not in a language, as a sentence; "": nothing speaks against it."""
    scripts = _scripts(text)
    if not scripts:
        return "it has no letters"
    wanted, most = _SCRIPTS.get(code, "LATIN"), scripts.most_common(1)[0][0]
    if code == "ja":  # written with Chinese signs, too
        most = wanted if scripts["KANA"] and most in ("CJK", "KANA") else most
    elif code == "zh" and scripts["KANA"]:
        most = "KANA"
    if most != wanted:
        return f"it is written in {most.lower()} letters"
    if code in _ONLY:
        others = {other: sum(letter in text.lower() for letter in _ONLY[other]) for other in _ONLY}
        other = max(others, key=lambda name: others[name])
        return f"it looks like {other}" if others[other] > others[code] else ""
    return _by_words(text, code) if code in SMALL_WORDS else ""


def _by_words(text: str, code: str) -> str:
    words = re.findall(r"[^\W\d_]+", text.lower())
    counts = {name: sum(word in small for word in words) for name, small in SMALL_WORDS.items()}
    best = max(counts, key=lambda name: (counts[name], name == code))
    if counts[best] == 0:
        return "" if len(words) <= FEW_WORDS else "none of its words is a small word that is known"
    return "" if best == code else f"it looks like {best}: {counts[best]} of its small words"


def _scripts(text: str) -> Counter[str]:
    """Count letters by what Unicode calls their script."""
    found: Counter[str] = Counter()
    for letter in text:
        if letter.isalpha():
            first = unicodedata.name(letter, "OTHER").split()[0]
            found["KANA" if first in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA") else first] += 1
    return found
