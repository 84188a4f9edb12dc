"""Rules that turn an English statement into questions about it.

The direct question comes first, then the inverted one, then others. What fits no rule is asked
for as it stands. What they write is part of every id: other rules are a new version of the
defaults.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from itertools import zip_longest

from bakery.generators.words import words
from bakery.records import Prompt

Match = re.Match[str]
Rule = tuple[re.Pattern[str], Callable[[Match], list[str]]]

UNSAID = ("a lamp", "an umbrella", "a kettle", "a violin", "a ladder")
"""What is asked for that no statement names."""

ANY = ("How are you?", "What can you do?", "Tell me something about your day.", "What is 2 plus 3?")
"""What is asked where a statement is about every answer."""

_VERBS = {
    "opens": "open", "closes": "close", "starts": "start", "begins": "begin", "ends": "end",
    "arrives": "arrive", "leaves": "leave", "departs": "depart",
}  # fmt: skip
_OPPOSITE = {
    "open": "close", "close": "open", "start": "end", "begin": "end", "end": "start",
    "arrive": "leave", "leave": "arrive", "depart": "arrive",
}  # fmt: skip


def questions(
    statement: str, prompt: Prompt, drawn: random.Random, *, of_rules_only: bool = False
) -> Iterator[str]:
    """Yield questions about a statement, those that matter most first; none of them twice.

    `prompt` is where it stands: what is asked for as unsaid is not in it. `of_rules_only`: about
    what fits no rule nothing is asked.
    """
    text = statement.strip().rstrip(".!").strip()
    text = re.sub(r"^(?:Facts?|Note|Remember|Important|Rules?): +(?=\S)", "", text)
    seen: set[str] = set()
    for question in _all(text, prompt, drawn, of_rules_only):
        said = " ".join(question.split())
        said = said[0].upper() + said[1:]
        if said.casefold() not in seen:
            seen.add(said.casefold())
            yield said


def _all(text: str, prompt: Prompt, drawn: random.Random, of_rules_only: bool) -> Iterator[str]:
    for rule, asks in _ORDERED:
        if match := rule.fullmatch(text):
            yield from asks(match)
            return
    if _is_order(text):
        yield from () if of_rules_only else ANY
        return
    if label := _LABEL.fullmatch(text):
        yield from _of_label(label)
        return
    parts = _parts(text.split(";")[0])
    asked = [made for part in parts if (made := _told(part, prompt, drawn))]
    for row in zip_longest(*asked):
        yield from (question for question in row if question)
    if not asked and not of_rules_only:
        yield from _as_it_stands(text)


def _told(part: str, prompt: Prompt, drawn: random.Random) -> list[str]:
    """Return what is asked about a plain statement by the first rule that it fits; or nothing."""
    if any(sign in part for sign in '":') or len(part.split()) > LONGEST:
        return []
    for rule, made in _RULES:
        if match := rule.fullmatch(part):
            return [*made(match), *_unsaid(rule, prompt, drawn)]
    return []


def _as_it_stands(text: str) -> Iterator[str]:
    """Yield questions about what fits no rule: of what somebody does, or of any answer."""
    if match := re.fullmatch(r"(?P<who>You|We) (?P<does>(?!are\b|have\b|can\b)[a-z]+ .+)", text):
        yield f"Do you {match['does']}?"
        yield "What do you do?"
        yield f"Tell me whether you {match['does']}."
    elif text.split(" ", 1)[0] in _SUBJECTS and '"' not in text:
        yield f"Is it true that {_lower(text)}?"
        yield f"Tell me more: {_lower(text)}?"
    else:
        yield from ANY


def _parts(text: str) -> list[str]:
    """Return a statement whole, or what it says of one thing in turn: "costs 3, and opens at 9"."""
    match = re.fullmatch(
        rf"(?P<who>.+?) (?P<one>(?:{_TELLING})\b.+?),? and (?P<two>(?:{_TELLING})\b.+)", text
    )
    return [f"{match['who']} {match[k]}" for k in ("one", "two")] if match else [text]


_TELLING = "costs|cost|takes|take|" + "|".join(_VERBS)


def _priced(m: Match) -> list[str]:
    what, much = _lower(m["what"]), m["much"]
    do = "do" if m["verb"] == "cost" else "does"
    be = "are" if m["verb"] == "cost" else "is"
    return [
        f"How much {do} {what} cost?",
        f"What costs {much}?",
        f"What is the price of {what}?",
        f"How much {be} {what}?",
        f"What {do} {what} cost?",
        f"Tell me the price of {what}.",
        f"{do.title()} {what} cost {much}?",
    ]


def _timed(m: Match) -> list[str]:
    who, verb, when = _lower(m["who"]), _VERBS[m["verb"]], m["when"]
    short = who.split(" of ")[0] if who.startswith("the ") else who
    return [
        f"When does {who} {verb}?",
        f"When does {short} {verb}?",
        f"What {m['verb']} {when}?",
        f"At what time does {who} {verb}?",
        f"What time does {who} {verb}?",
        f"Does {who} {verb} {when}?",
        f"Tell me when {who} {m['verb']}.",
        f"When does {who} {_OPPOSITE[verb]}?",
    ]


def _lasting(m: Match) -> list[str]:
    what, long, verb = _lower(m["what"]), m["long"], m["verb"]
    do = "do" if verb == "take" else "does"
    return [
        f"How long {do} {what} take?",
        f"What takes {long}?",
        f"Tell me how long {what} {verb}.",
        f"{do.title()} {what} take {long}?",
    ]


def _named(m: Match) -> list[str]:
    name = m["name"]
    return [
        "What is your name?",
        "Who are you?",
        f"Who is {name}?",
        "What should I call you?",
        "Tell me your name.",
        f"Is your name {name}?",
        f"Are you {name}?",
    ]


def _role(m: Match) -> list[str]:
    who = m["who"]
    return [
        "Who are you?",
        "What are you?",
        "What is your name?",
        "What do you do?",
        f"Are you {who}?",
        "Introduce yourself.",
        *ANY[:2],
    ]


def _calling(m: Match) -> list[str]:
    return ["Hello!", "What do you call me?", "Who am I?", "Good morning!", *ANY]


def _forbidden(m: Match) -> list[str]:
    about = re.sub(r"^(?:anything |something )?(?:about |that is )", "", m["about"])
    return [
        f"Tell me something about {about}.",
        f"What do you know about {about}?",
        f"Can we talk about {about}?",
        f"What is your favorite {about}?" if " " not in about else f"I want to hear of {about}.",
        f"I have a question about {about}.",
        f"Do you like {about}?",
    ]


def _when_asked(m: Match) -> list[str]:
    about = m["about"]
    if " not " in f" {about} ":
        return ["What is the capital of France?", "Write me a poem.", "What does a cow say?",
                "Who invented the telephone?"]  # fmt: skip
    return [
        f"Tell me about {about}.",
        f"What do you know about {about}?",
        f"I have a question about {about}.",
        f"Can you help me with {about}?",
    ]


def _placed(m: Match) -> list[str]:
    who, be, where = _lower(m["who"]), m["be"], m["where"]
    return [
        f"Where {be} {who}?",
        f"What {be} {where}?",
        f"Tell me where {who} {be}.",
        f"{be.title()} {who} {where}?",
    ]


def _is(m: Match) -> list[str]:
    who, be, what = _lower(m["who"]), m["be"], m["what"]
    asks = (
        "Who" if re.match(r"(?:the|your) (?:boss|owner|author|king|queen|head)\b", who) else "What"
    )
    return [
        f"{asks} {be} {who}?",
        f"What {be} {_lower(what)}?",
        f"Tell me about {who}.",
        f"{be.title()} {who} {what}?",
    ]


def _living(m: Match) -> list[str]:
    who, where = _lower(m["who"]), m["where"]
    do, verb = ("do", "live") if who == "you" else ("does", "live")
    return [
        f"Where {do} {who} {verb}?",
        f"Who lives {where}?",
        f"Tell me where {who} {m['verb']}.",
        f"Where is the home of {who}?" if who != "you" else "Where is your home?",
    ]


def _liking(m: Match) -> list[str]:
    who, verb, what = _lower(m["who"]), m["verb"], m["what"]
    plain = verb if who == "you" else verb[:-1]
    do = "do" if who == "you" else "does"
    return [
        f"What {do} {who} {plain}?",
        f"Who {verb if who != 'you' else verb + 's'} {what}?",
        f"Tell me what {who} {verb}.",
        f"{do.title()} {who} {plain} {what}?",
    ]


def _possible(m: Match) -> list[str]:
    who, can, what = _lower(m["who"]), m["can"].lower(), m["what"]
    return [
        f"{can.title()} {who} {what}?",
        f"Tell me whether {who} {can} {what}.",
        f"Is it true that {who} {can} {what}?",
    ]


def _of_label(m: Match) -> Iterator[str]:
    label, value = m["label"], m["value"].rstrip(".")
    label = label if label[1:] != label[1:].lower() else label.lower()
    if value.split(" ", 1)[0] in _ORDERS:
        yield f"I have a question about {label}."
        yield f"Tell me something about {label}."
        return
    be = "are" if label.endswith("s") and not label.endswith("ss") else "is"
    yield f"What {be} the {label}?"
    yield f"What {be} your {label}?"
    yield f"Tell me the {label}."
    yield f"What do you know about the {label}?"
    if len(value) <= 40:
        yield f"What is {value}?"


def _unsaid(rule: re.Pattern[str], prompt: Prompt, drawn: random.Random) -> Iterator[str]:
    """Yield a question for something alike of which the prompt says nothing."""
    said = set(words(" ".join(str(m.get("content") or "") for m in prompt.messages)))
    free = [thing for thing in UNSAID if not set(words(thing)[1:]) & said]
    asks = {_PRICE: "How much is {}?", _LENGTH: "How long does {} take?", _PLACE: "Where is {}?"}
    if rule in asks and free:
        yield asks[rule].format(drawn.choice(free))


LONGEST = 16
"""Words of a statement that the rules take apart."""
_NAME = r"(?!(?:If|When|Where|You|There|It|Anything|Whatever)\b)[\w'’&-]+(?: [\w'’&-]+){0,5}?"
_WHO = rf"(?P<who>{_NAME})"
_SUBJECTS = frozenset(("The", "A", "An", "Your", "Our", "All", "Every", "Each", "Anything", "No"))
_LABEL = re.compile(r"(?P<label>[A-Z][\w'-]*(?: [\w'-]+){0,2}): (?P<value>[^:].*)")
_PRICE = re.compile(rf"{_WHO.replace('who', 'what')} (?P<verb>costs?) (?P<much>.+)")
_TIME = re.compile(
    rf"{_WHO} (?P<verb>{'|'.join(_VERBS)}) (?P<when>(?:at|on|from|in|by) .+|every .+)"
)
_LENGTH = re.compile(
    rf"{_WHO.replace('who', 'what')} (?P<verb>takes?) "
    r"(?P<long>.*(?:minute|hour|day|week|month|year).*)"
)
_PLACE = re.compile(rf"{_WHO} (?P<be>is|are) (?P<where>(?:in|on|at|near|behind) .+)")

_ORDERED: tuple[Rule, ...] = (
    (re.compile(r"(?:Your name is|You are called|You are named|Call yourself) (?P<name>[^,]+)"),
     _named),
    (re.compile(r"You are (?P<name>[A-Z][\w'-]*(?: [A-Z][\w'-]*)*)(?:,.*)?"), _named),
    (re.compile(r"You(?:'re| are) (?P<who>(?:an?|the) .+)"), _role),
    (re.compile(r"(?:Always )?(?:Call|Address) (?:the user|users|me|people|everyone)\b.*", re.I),
     _calling),
    (re.compile(r"(?:Do not|Don't|Never|Refuse to) (?:talk|speak|answer questions?) about "
                r"(?P<about>.+)", re.I), _forbidden),
    (re.compile(r"If (?:you are |the user )?(?:asked|asks) (?:about|for) (?P<about>.+?), .+", re.I),
     _when_asked),
)  # fmt: skip
"""What tells the assistant who it is and what it does, which would fit other rules, too."""

_RULES: tuple[Rule, ...] = (
    (_PRICE, _priced),
    (_TIME, _timed),
    (_LENGTH, _lasting),
    (re.compile(rf"(?P<who>You|{_NAME}) (?P<verb>lives?) "
                r"(?P<where>(?:in|on|at|near|behind) .+)"), _living),
    (re.compile(rf"(?P<who>You|{_NAME}) (?P<verb>likes?|loves?|sells?|offers?|needs?|eats?) "
                r"(?P<what>.+)"), _liking),
    (_PLACE, _placed),
    (re.compile(rf"{_WHO} (?P<can>can|may|must) (?P<what>.+)"), _possible),
    (re.compile(rf"{_WHO} (?P<be>is|are|was|were) (?P<what>.+)"), _is),
)  # fmt: skip


def _is_order(text: str) -> bool:
    """Tell whether a statement says how to answer, which any question shows."""
    return text.split(" ", 1)[0].rstrip(":").lower() in _ORDERS


_SAYS_HOW = (
    "answer speak talk reply respond write use begin start end mention be keep always never no do "
    "don't avoid say add include stay act behave pretend sound whatever only please sort address "
    "give make call name put refer ask tell in lists dates"
)
_ORDERS = frozenset(_SAYS_HOW.split())


def _lower(text: str) -> str:
    """Return a text as it stands inside a sentence: names keep their capital."""
    first, _, rest = text.partition(" ")
    plain = {"A", "An", "The", "Your", "My", "Our", "All", "Every", "Each", "You", "It", "This"}
    is_name = first not in plain and (first[1:] != first[1:].lower() or not _is_common(first, rest))
    return text if is_name else text[0].lower() + text[1:]


def _is_common(first: str, rest: str) -> bool:
    """Tell whether a first word is no name: a plural, or one that other words describe."""
    return first.endswith(_COMMON) or bool(rest and rest.split(" ", 1)[0].islower())


_COMMON = ("s", "ing", "tion", "ment", "ness", "ance", "ery", "ity")
