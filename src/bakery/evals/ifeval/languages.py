"""Which language a text is in: by its script, and among Latin ones by its commonest words.

Enough to tell whether a model answered in the language that it was asked for. Languages that
share a script are told apart by words too, where both lists have some.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_SCRIPTS: Mapping[str, str] = {
    "ar": "\u0600-\u06ff", "fa": "\u0600-\u06ff", "ur": "\u0600-\u06ff", "he": "\u0590-\u05ff",
    "hi": "\u0900-\u097f", "mr": "\u0900-\u097f", "ne": "\u0900-\u097f", "bn": "\u0980-\u09ff",
    "pa": "\u0a00-\u0a7f", "gu": "\u0a80-\u0aff", "ta": "\u0b80-\u0bff", "te": "\u0c00-\u0c7f",
    "kn": "\u0c80-\u0cff", "ml": "\u0d00-\u0d7f", "th": "\u0e00-\u0e7f", "el": "\u0370-\u03ff",
    "ru": "\u0400-\u04ff", "bg": "\u0400-\u04ff", "uk": "\u0400-\u04ff", "ko": "\uac00-\ud7af",
    "ja": "\u3040-\u30ff", "zh": "\u4e00-\u9fff",
}  # fmt: skip

_COMMON: Mapping[str, str] = {
    "en": "the of and to in is that it for you with are this was not but have i my be what",
    "de": "der die das und ist nicht ein eine zu den mit ich auf für sie von dem es im wir",
    "fr": "le la les et est des une un du dans pour que qui pas je vous sur avec ce au",
    "es": "el la los las y es de que un una en por para con no su se lo como más",
    "pt": "o a os as e é de que um uma em por para com não se do da no na mais",
    "it": "il la le e è di che un una in per con non si lo gli del della sono più",
    "nl": "de het een en is van dat niet te op voor met zijn ik je die in aan er",
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
}

_LATIN = "A-Za-z\u00c0-\u024f\u1e00-\u1eff"

MOST_OF_SCRIPT = 0.5
"""The part of the letters that is in the script of the language."""

_LETTER = re.compile(r"[^\W\d_]")


def is_in(text: str, language: str) -> bool:
    """Tell whether a text is in a language, by its ISO 639-1 code; of an unknown one it is not."""
    letters = _LETTER.findall(text)
    language = language.lower().split("-")[0]
    if not letters or language not in known():
        return False
    script = _SCRIPTS.get(language, _LATIN)
    own = re.compile(f"[{script}]")
    if sum(bool(own.match(letter)) for letter in letters) < MOST_OF_SCRIPT * len(letters):
        return False
    return _is_likeliest(text, language, [c for c in known() if _SCRIPTS.get(c, _LATIN) == script])


def _is_likeliest(text: str, language: str, among: list[str]) -> bool:
    """Tell whether no other language has more of its commonest words in a text."""
    if language not in _COMMON:
        return True
    # Marks that are written over letters of Indian scripts are none themselves.
    said = [word.strip(".,!?;:\"'()।") for word in text.lower().split()]
    found = {code: sum(word in set(_COMMON[code].split()) for word in said)
             for code in among if code in _COMMON}  # fmt: skip
    best = max(found.values())
    return found[language] == best and (best > 0 or len(said) < 4)


def known() -> frozenset[str]:
    """Return the codes of the languages that can be told."""
    return frozenset({*_SCRIPTS, *_COMMON})
