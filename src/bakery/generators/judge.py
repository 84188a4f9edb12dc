"""Is a reply a message that a person could send to an assistant?

Rules of form that the replies of small models were tried on, by hand-labelled ones. None knows
whether a question makes sense; each says why it refuses. Those that know words know English ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakery.generators.words import Alike, script, scripts, words
from bakery.records import Prompt

MOST_CHARS = 1000
FEWEST_WORDS = 3
LONGEST_WORD = 40
PLAIN_SHARE = 0.6
"""Of the signs of a reply, so many are letters, digits or spaces."""

SCRIPT_SHARE, OWN_SHARE = 0.1, 1 / 3
"""A script of which the prompt has this share is one of its own; so much of a reply has to be."""

LONG, FEW_OTHERS = 12, 0.5
"""From so many words on, this share of them has to be different ones."""

ECHO_WORDS, ECHO_SHARE = 4, 0.6
"""Runs of so many words, and the share of a reply's that may be the prompt's."""


@dataclass(frozen=True, slots=True)
class Against:
    """What replies are judged against: the prompt, taken apart once."""

    scripts: frozenset[str]
    said: str
    """The words of its messages with a space around each."""
    runs: frozenset[tuple[str, ...]]
    """Neighbouring words of all that no user says in it."""
    asked: Alike
    """The questions of its example turns."""
    answered: frozenset[tuple[str, ...]]
    """How the answers of its example turns begin."""
    names: tuple[str, ...]
    """Who it says that the assistant is."""


def against(prompt: Prompt) -> Against:
    """Take a prompt apart."""
    texts = [_content(message) for message in prompt.messages]
    counted = scripts(" ".join(texts))
    own = {name for name, n in counted.items() if n >= SCRIPT_SHARE * counted.total()}
    turns = [(str(m["role"]), _content(m)) for m in prompt.messages]
    names = {match[1].strip().casefold() for text in texts for match in _NAMED.finditer(text)}
    return Against(
        frozenset(own),
        "".join(f" {' '.join(words(text))} " for text in texts),
        frozenset(
            run for role, text in turns if role != "user" for run in _runs(words(text), ECHO_WORDS)
        ),
        Alike(text for role, text in turns if role == "user"),
        frozenset(_begins(text) for role, text in turns if role == "assistant" and words(text)),
        tuple(sorted(names)),
    )


def why_not(text: str, prompt: Against) -> str | None:
    """Return why a reply is not a message to send; None: nothing speaks against it."""
    return next((reason for reason, holds in RULES.items() if holds(text, prompt)), None)


def _is_broken(text: str, _: Against) -> bool:
    return any(
        c == "\ufffd" or (unicodedata.category(c) in ("Cc", "Co", "Cs", "Cn") and c not in "\n\t")
        for c in text
    )


def _is_not_one(text: str, _: Against) -> bool:
    return not text.strip() or "\n" in text.strip() or len(text) > MOST_CHARS


_MARK = re.compile(
    r"<\|[^|>]{0,40}\|?>|\[/?INST\]|</?s>|<(?:bos|eos|pad|unk|(?:start|end)_of_turn)>|"
    r"(?:^|\n)\s*(?:#+\s*)?(?:user|assistant|system|human|ai|bot|answer|response|instruction)"
    r"\s*[:>]",
    re.IGNORECASE,
)


def _has_marks(text: str, _: Against) -> bool:
    return bool(_MARK.search(text))


_LISTED = re.compile(
    r"\s*(?:\(?\d{1,3}[.)]\s|[-*•–]\s|#{1,6}\s|\(?[a-z]\)\s|(?:q|question)\s?\d*\s?[:.)]\s)",
    re.IGNORECASE,
)


def _is_listed(text: str, _: Against) -> bool:
    return bool(_LISTED.match(text))


def _is_salad(text: str, _: Against) -> bool:
    """Tell of numbers without words, of signs without letters, and of words without spaces."""
    spoken = [word for word in words(text) if any(script(c) for c in word)]
    if len(spoken) < 2 and any(c.isdigit() for c in text) and not _asks(text):
        return True
    plain = sum(c.isalnum() or c.isspace() or unicodedata.category(c)[0] == "M" for c in text)
    is_dense = len(text) >= 8 and plain < PLAIN_SHARE * len(text)
    return is_dense or any(len(word) > LONGEST_WORD for word in spoken if "http" not in text)


def _is_short(text: str, _: Against) -> bool:
    found = words(text)
    if len(found) >= FEWEST_WORDS:
        return False
    # Other languages ask with two words, or one long one.
    return not (_asks(text) and (len(found) > 1 or sum(map(len, found)) > 5))


def _is_in_another_script(text: str, prompt: Against) -> bool:
    counted = scripts(text)
    own = sum(counted[name] for name in prompt.scripts)
    return bool(prompt.scripts) and own < OWN_SHARE * counted.total()


_REPEATED = re.compile(r"\b([^\W\d_]{4,}) \1\b", re.IGNORECASE)
_MAY_REPEAT = frozenset({"that", "very", "knock", "tick", "bora", "pago", "baden", "many"})


def _is_repeated(text: str, _: Against) -> bool:
    found = words(text)
    if re.search(r"([^\W\d_])\1{4,}", text) or any(
        one == two == three for one, two, three in zip(found, found[1:], found[2:], strict=False)
    ):
        return len(set(found)) > 1 or len(found) > 2
    if any(match[1].casefold() not in _MAY_REPEAT for match in _REPEATED.finditer(text)):
        return True
    sentences = [tuple(words(part)) for part in re.split(r"[.!?。！？]", text)]
    whole = [sentence for sentence in sentences if len(sentence) > 2]
    if len(whole) > len(set(whole)) or _most(_runs(found, 3)) > 2 or _most(_runs(found, 6)) > 1:
        return True
    return len(found) >= LONG and len(set(found)) < FEW_OTHERS * len(found)


_OPEN_END = re.compile(r"(?:[,:;(\[{/&+=<\-\u2013\u2014]|\.\.\.|\u2026)[\"'\u201d\u2019\s]*$")
_BAD_START = re.compile(r"\s*(?:[,.;:!?)\]}%&|/\\=>+]|\d[\d.,]*,\s)")
_LEADING_ON = "a an the and or but my your our their because if than into nor whose every"
_LEADS_ON = frozenset(_LEADING_ON.split())


def _is_fragment(text: str, _: Against) -> bool:
    found = words(text)
    if _OPEN_END.search(text) or _BAD_START.match(text) or (found and found[-1] in _LEADS_ON):
        return True
    if text.count("`") % 2 or re.sub(r"\d\s?\"", "", text).count('"') % 2:
        return True
    pairs = ("()", "[]", "{}", "\u201c\u201d", "\u300c\u300d")
    return any(text.count(pair[0]) > text.count(pair[1]) for pair in pairs)


_ASSISTANT = re.compile(
    r"^\W*(?:sure(?: thing)?\s*[,.!]|certainly\b|of course\s*[,.!]|absolutely\s*[,.!]|"
    r"here (?:is|are)\b|here's (?:a|an|the|some|your)\b|as an (?:ai|assistant)\b|"
    r"i(?: am|'m) (?:an? (?:ai|assistant|language model)\b|here to (?:help|assist)|happy to|"
    r"glad (?:to|you)|sorry,? (?:but )?i (?:can't|cannot|can not|am not able)|ready to help)|"
    r"i(?:'d| would) be (?:happy|glad|delighted) to|the answer (?:is\b|to (?:the|your|this))|"
    r"thank you for (?:your|contacting|reaching|calling|asking)|welcome to\b|feel free to\b|"
    r"let me know\b)|"
    r"\b(?:how|what) (?:can|may|could) (?:i|we) (?:help|assist|do for) you\b|"
    r"\b(?:can|may|could) i (?:help|assist) you\b|\bhow (?:can|may) i be of\b|"
    r"\bcan i (?:offer|be of) (?:any )?(?:help|assistance)|\bis there anything else\b|"
    r"\b(?:hope|trust) (?:this|that|it) helps\b|\bas an ai (?:language )?(?:model|assistant)\b",
    re.IGNORECASE,
)


_NAMED = re.compile(r"\b[Yy]ou(?: are|'re) ((?:[A-Z][\w'-]*\s?)+)")
_OWN_NAME = re.compile(r"\b(?:i am|i'm|my name is) ")


def _is_assistants(text: str, prompt: Against) -> bool:
    plain = text.replace("\u2019", "'")
    said = plain.casefold()
    own = any(said.startswith(prompt.names, match.end()) for match in _OWN_NAME.finditer(said))
    return own or bool(_ASSISTANT.search(plain)) or _begins(plain) in prompt.answered


def _is_echo(text: str, prompt: Against) -> bool:
    found = words(text)
    if f" {' '.join(found)} " in prompt.said or prompt.asked.has(text):
        return True
    runs = _runs(found, ECHO_WORDS)
    return len(runs) > 1 and sum(run in prompt.runs for run in runs) >= ECHO_SHARE * len(runs)


# What tells an assistant how to be, instead of asking it something.
INSTRUCTION = re.compile(
    r"^(you are\b|you're\b|your name is\b|you must\b|you should\b|act\b|pretend\b|imagine you\b|"
    r"behave\b|speak\b|talk\b|respond\b|reply\b|answer (as|in|like|with|every|all|only|the way)|"
    r"from now on\b|always\b|never\b|use\b|(begin|start|end) (each|every|all|your)\b|call me\b|"
    r"be (a|an|more|very)\b|remember\b|note:|facts?\b|when i\b|if i\b|system:|assistant:)",
    re.IGNORECASE,
)


def _is_instruction(text: str, _: Against) -> bool:
    return bool(INSTRUCTION.match(text)) and not _asks(text)


_TELLS = re.compile(
    r"^\W*(?:an?|the|this|that|these|those|there|it|he|she|they|his|her|its|their|some|most|many|"
    r"you|we|in|on|at)\b",
    re.IGNORECASE,
)
_WANTS = re.compile(
    r"\b(?:i|i'm|i've|i'd|me|my|please|let's|us|explain|describe|write|list|give|show|name|"
    r"translate|summari[sz]e|help)\b",
    re.IGNORECASE,
)


def _asks_nothing(text: str, _: Against) -> bool:
    """Tell of what is said of others, with no question and no wish in it."""
    return bool(_TELLS.match(text)) and not _asks(text) and not _WANTS.search(text)


_ELSEWHERE = re.compile(
    r"\bfollowing\b|\baforementioned\b|\b(?:attached|below)\b|"
    r"\b(?:this|the given|the above|above) (?:code|text|passage|sentence|article|paragraph|"
    r"equation|e-?mail|snippet|essay|table|image|picture|user question|question)\b",
    re.IGNORECASE,
)
_GIVEN = re.compile(r"[\"\u201c`\u00ab\u300c]|:\s*\S+\s+\S+|\d\s*[-+*/=^]\s*\d")
_BLANK = re.compile(r"(?<![\w\])])\[[A-Za-z][\w '-]{2,40}\](?!\()|<(?:insert|your|name)\b[^>]*>")


def _lacks_something(text: str, _: Against) -> bool:
    """Tell of a text that speaks of another one that is not there, or has a blank to fill in."""
    return bool(_BLANK.search(text)) or bool(_ELSEWHERE.search(text) and not _GIVEN.search(text))


_POINTS = re.compile(
    r"^\W*(?:(?:and|so|but|oh|well),? )?(?:"
    r"(?:what|who|where|when|how|why)(?: is|'s| are| was| were|'re) "
    r"(?:it|that|this|those|these|they|he|she|his|her|their|them)\b"
    r"(?!.*\b(?:to|that|if|when|so|like)\b)|"
    r"(?:is|are|was|were) (?:it|that|this|they|those|these|he|she) "
    r"(?:an?|the|in|on|at|for|from|with|available|made|sold|called|your|my|some)\b"
    r"(?!.*\b(?:to|that|if|when)\b)|"
    r"how (?:does|do|did) (?:it|that|this|they) (?:work|look|happen)\W|"
    r"(?:how|where|why|when) (?:do|can|could|should|would|did) (?:i|you|we|they|one) "
    r"(?:do|make|get|use|fix|find) (?:it|that|this|them)\b|"
    r"what (?:about|else)\b)|"
    r"\bwhat(?: is|'s) (?:that|this|it)\W*$",
    re.IGNORECASE,
)
_THING = re.compile(
    r"(?<!\bis )(?<!\bwas )(?<!\bare )\b(?:it|them|him|those|these|that|this)\W*$", re.IGNORECASE
)
_LITTLE = (
    "what who where when why how which is are was were do does did can could will would should "
    "i you we they the a an best good better right easiest fastest way to of for in on with me my "
    "your not have has so be at many much long kind often really place time thing"
)
_SAYS_LITTLE = frozenset(_LITTLE.split())


def _points_nowhere(text: str, _: Against) -> bool:
    """Tell of a question about "it", where nothing before says what that is."""
    plain = text.replace("\u2019", "'")
    if _POINTS.search(plain):
        return True
    last = _THING.search(plain)
    if last is None or re.search(r"[,.;:!?]\s", plain):
        return False
    before = [word for word in words(plain[: last.start()]) if word not in _SAYS_LITTLE]
    return len(before) < 2 and bool(words(plain[: last.start()])) and _asks(plain)


def _asks(text: str) -> bool:
    return any(mark in text for mark in "?\uff1f\u061f\u037e\u055e\u1367")


Rule = Callable[[str, Against], bool]

RULES: Mapping[str, Rule] = {
    "broken characters": _is_broken,
    "not one message": _is_not_one,
    "marks of the template": _has_marks,
    "list mark": _is_listed,
    "numbers or signs": _is_salad,
    "too short": _is_short,
    "another script": _is_in_another_script,
    "repeats itself": _is_repeated,
    "fragment": _is_fragment,
    "assistant's words": _is_assistants,
    "echo of the prompt": _is_echo,
    "instruction": _is_instruction,
    "asks nothing": _asks_nothing,
    "lacks what it speaks of": _lacks_something,
    "points at nothing": _points_nowhere,
}
"""By the reason that is given; the first that holds is it."""


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return str(content or "")


def _begins(text: str) -> tuple[str, ...]:
    """Return the first two words, or the one before a comma, colon or exclamation mark."""
    first = re.match(r"\W*(\w+)[,:!]", text)
    return (first[1].casefold(),) if first else tuple(words(text)[:2])


def _runs(found: Sequence[str], length: int) -> list[tuple[str, ...]]:
    return [tuple(found[at : at + length]) for at in range(len(found) - length + 1)]


def _most(runs: Iterable[tuple[str, ...]]) -> int:
    counted: dict[tuple[str, ...], int] = {}
    for run in runs:
        counted[run] = counted.get(run, 0) + 1
    return max(counted.values(), default=0)
