"""Which language a text is in: by its letters, and for those that share them by its small words.

Deterministic and small. It tells the languages that it knows apart where a text has a sentence or
two; of a few words it only says which letters they have.
"""

from __future__ import annotations

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
        "sv": "och att det som en är på för av med den till inte jag om ett har de",
        "fi": "ja on ei se että oli en mutta kun hän olen tämä niin ovat myös kuin minä",
        "pl": "i w nie na się jest to że z do jak co ale tak o dla po są ma",
        "tr": "ve bir bu için ile da de çok ne gibi ben daha var olarak değil mi o",
        "vi": "là và của có không một cho được các với trong những tôi này người đó bạn",
        "id": "yang dan di ini itu dengan untuk tidak dari dalam akan pada saya ada adalah",
        "sw": "na ya wa kwa ni katika la cha za kuwa hii hiyo yake si kama lakini yangu",
        "ru": "и в не на что я с он как это по но к у из за то все",
        "bg": "и в не на че е да се за от с са по това като ще",
        "uk": "і в не на що я з та як це до у за але є він",
        "fa": "و در به از که این را با است برای آن می",
        "ur": "اور کے میں کی ہے کا سے کو یہ نے پر کہ",
        "ar": "في من على أن إلى هذا التي لا ما و هو كان",
        "hi": "के है में की और से का को पर यह हैं नहीं",
        "mr": "आहे आणि या च्या मध्ये तो ती ते नाही हे",
        "ne": "छ र को मा लाई यो गर्न हुन्छ छन् पनि",
    }.items()
}
"""The words that sentences of a language are held together by."""

_SCRIPTS: Mapping[str, str] = {
    "ar": "ARABIC", "fa": "ARABIC", "ur": "ARABIC", "he": "HEBREW", "el": "GREEK",
    "hi": "DEVANAGARI", "mr": "DEVANAGARI", "ne": "DEVANAGARI", "bn": "BENGALI", "pa": "GURMUKHI",
    "gu": "GUJARATI", "ta": "TAMIL", "te": "TELUGU", "kn": "KANNADA", "ml": "MALAYALAM",
    "ru": "CYRILLIC", "bg": "CYRILLIC", "uk": "CYRILLIC", "ko": "HANGUL", "th": "THAI",
    "zh": "CJK", "ja": "KANA",
}  # fmt: skip
"""What Unicode calls the letters of a language; Latin ones where nothing is said."""
KNOWN = frozenset({*SMALL_WORDS, *_SCRIPTS})
"""The codes (ISO 639-1) of the languages that can be told."""
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
        if others[other] > others[code]:
            return f"it looks like {other}"
    return _by_words(text, code) if code in SMALL_WORDS else ""


def _by_words(text: str, code: str) -> str:
    script = _SCRIPTS.get(code)
    others = [name for name in SMALL_WORDS if _SCRIPTS.get(name) == script]
    words = "".join(sign if unicodedata.category(sign)[0] in "LM" else " " for sign in text.lower())
    counts = {name: sum(word in SMALL_WORDS[name] for word in words.split()) for name in others}
    best = max(counts, key=lambda name: (counts[name], name == code))
    if counts[best] == 0:
        few = len(words.split()) <= FEW_WORDS
        return "" if few else "none of its words is a small word that is known"
    return "" if best == code else f"it looks like {best}: {counts[best]} of its small words"


def _scripts(text: str) -> Counter[str]:
    """Count letters by what Unicode calls their script."""
    found: Counter[str] = Counter()
    for letter in text:
        if letter.isalpha():
            first = unicodedata.name(letter, "OTHER").split()[0]
            found["KANA" if first in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA") else first] += 1
    return found
