"""A chat template taken apart: the text before, between and behind what the roles say.

A template is a program, and Ollama has another language for them. So conversations of words that
stand for nothing are rendered, and what stands around these words is kept. Whether that is all that
the template does is seen on other conversations, which have to come out the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bakery.engine.text.chat import Chat
from bakery.errors import ConfigError
from bakery.records import Message

Where = Literal["own turn", "first question", "last question"]

_SYSTEM, _ASKED, _SAID, _AGAIN = "qsystemq", "qaskedq", "qsaidq", "qagainq"


class UnlikeError(Exception):
    """The template does something that its pieces do not: the text says what."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """What stands around what is said, and where a system prompt stands."""

    head: str
    """Before the first turn, where nobody gives a system prompt: many templates write one."""
    user_before: str
    user_after: str
    answer_before: str
    answer_after: str
    header: str
    """Behind the last turn, for the answer."""
    system_in: Where = "first question"
    head_with_system: str = ""
    """Before the first turn, where somebody gives a system prompt."""
    system_before: str = ""
    system_after: str = "\n\n"
    takes_system: bool = True
    """False: the template refuses system prompts, and Ollama gives them all the same: they are
    written before the first question, with a blank line between."""
    trims: bool = False
    """Whether the template takes blanks off the ends of what is said, which Ollama cannot."""

    def render(self, messages: Sequence[Message]) -> str:
        """Return what a model is given to answer; the last message is the user's."""
        system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
        turns = [m for m in messages if m["role"] != "system"]
        told = f"{self.system_before}{system}{self.system_after}" if system else ""
        asked = [at for at, turn in enumerate(turns) if turn["role"] == "user"]
        place = {"first question": asked[0], "last question": asked[-1]}.get(self.system_in)
        said = [self.head_with_system if system else self.head, told if place is None else ""]
        for at, turn in enumerate(turns):
            if turn["role"] == "user":
                inside = told if at == place else ""
                said += [self.user_before, inside, turn["content"], self.user_after]
            else:
                said += [self.answer_before, turn["content"], self.answer_after]
        return "".join([*said, self.header])


def derive(chat: Chat) -> Pieces:
    """Return the pieces of a chat's template; UnlikeError where it does more than they do."""
    try:
        found = _derived(chat)
    except ConfigError as error:
        raise UnlikeError(f"it refuses a plain conversation ({error.message})") from error
    for messages in shapes(with_system=found.takes_system):
        try:
            own = chat.asked(messages)
        except ConfigError as error:
            raise UnlikeError(f"it refuses a longer conversation ({error.message})") from error
        if found.render(messages) != own:
            roles = ", ".join(m["role"] for m in messages)
            raise UnlikeError(f"a conversation of {roles} comes out otherwise than its parts say")
    return found


def shapes(*, with_system: bool = True) -> list[list[Message]]:
    """Return five conversations that end with a question, of words that could mislead."""
    user = [
        _turn("user", text)
        for text in (
            "Who are you?",
            "Is 2 < 3 && {{ 4 }}?\n\n```go\nx := 1\n```",
            "Größe, 世界 👍🏽 %s",
        )
    ]
    said = [
        _turn("assistant", text) for text in ("I am here.\n\nAsk me.", '{"a": [1, "b\\n"]} </tool>')
    ]
    system = _turn("system", 'Be brief.\n\n- Say {{ .Name }} "so"\n- Or not.')
    talks = [
        [user[0]],
        [user[0], said[0], user[1]],
        [user[1], said[1], user[2], said[0], user[0]],
    ]  # fmt: skip
    if not with_system:
        return [*talks, [user[2]], [user[2], said[1], user[0]]]
    return [talks[0], [system, user[1]], talks[1], [system, *talks[1]], [system, *talks[2]]]


def _derived(chat: Chat) -> Pieces:
    question, said, again = _turn("user", _ASKED), _turn("assistant", _SAID), _turn("user", _AGAIN)
    before, behind = _cut(chat.asked([question]), _ASKED)
    user_after = _cut(chat.rendered([question]), _ASKED)[1]
    header = _without_start(behind, user_after, "a question")
    first, between, until, end = _cut(chat.asked([question, said, again]), _ASKED, _SAID, _AGAIN)
    if (first, end) != (before, behind):
        raise UnlikeError("a question is not always written alike")
    answer_before = _without_start(between, user_after, "a question")
    answer_after = _cut(chat.rendered([question, said]), _ASKED, _SAID)[2]
    user_before = _without_start(until, answer_after, "an answer")
    plain = Pieces(
        _without_end(before, user_before), user_before, user_after, answer_before, answer_after,
        header, trims=_trims(chat),
    )  # fmt: skip
    return _with_system(chat, plain, [question, said, again])


def _with_system(chat: Chat, plain: Pieces, talk: Sequence[Message]) -> Pieces:
    """Return the pieces with those of a system prompt."""
    try:
        text = chat.asked([_turn("system", _SYSTEM), *talk])
    except ConfigError:  # it has no system role
        return replace(plain, head_with_system=plain.head, takes_system=False)
    if text.find(_SYSTEM) > text.find(_SAID) > 0:
        before, _, between, after, _ = _cut(text, _ASKED, _SAID, _SYSTEM, _AGAIN)
        return replace(
            plain,
            system_in="last question",
            head_with_system=_without_end(before, plain.user_before),
            system_before=_without_start(
                between, plain.answer_after + plain.user_before, "an answer"
            ),
            system_after=after,
        )
    before, after, *_ = _cut(text, _SYSTEM, _ASKED)
    if after.endswith(plain.user_before):
        own = after[: len(after) - len(plain.user_before)]
        return replace(plain, system_in="own turn", system_before=before, system_after=own)
    head = _without_end(before, plain.user_before)
    return replace(plain, head_with_system=head, system_after=after)


def _trims(chat: Chat) -> bool:
    return f" {_ASKED} " not in chat.asked([_turn("user", f" {_ASKED} ")])


def _turn(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _cut(text: str, *words: str) -> list[str]:
    """Return what stands around words, which a text has once each, in their order."""
    parts = []
    for word in words:
        before, found, text = text.partition(word)
        if not found or word in text:
            raise UnlikeError("it leaves out, repeats or moves what is said")
        parts.append(before)
    return [*parts, text]


def _without_start(text: str, start: str, behind: str) -> str:
    if not text.startswith(start):
        raise UnlikeError(f"what stands behind {behind} depends on what follows")
    return text[len(start) :]


def _without_end(text: str, end: str) -> str:
    if not text.endswith(end):
        raise UnlikeError("the first question begins otherwise than a later one")
    return text[: len(text) - len(end)]
