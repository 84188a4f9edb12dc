"""The slash commands of a chat: what each does to the conversation, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bakery.conversation import Conversation
from bakery.errors import ConfigError
from bakery.paths import expanded
from bakery.records import write_atomic
from bakery.spelling import nearest
from bakery.ui.typed import Typed

SHOWN_OF_SYSTEM = 50


@dataclass(frozen=True, slots=True)
class Obeyed:
    """What came of a command. `ask`: a question to put now; `leave`: the chat is over."""

    said: str = ""
    ask: str | None = None
    leave: bool = False
    of: Conversation | None = None
    """Whom to ask; None: those of the conversation."""


def obey(conversation: Conversation, typed: Typed) -> Obeyed:
    """Do what a command says; ConfigError where there is none of that name."""
    found = COMMANDS.get(typed.word)
    if found is None:
        near = nearest(typed.word, COMMANDS)
        raise ConfigError(
            f"there is no {typed.word}" + (f": did you mean {near[0]}?" if near else ""),
            hint="/help lists the commands; a question that begins with a slash takes two: //.",
        )
    return found.do(conversation, typed.text)


def _help(conversation: Conversation, text: str) -> Obeyed:
    wide = max(len(f"{word} {c.takes}") for word, c in COMMANDS.items())
    rows = [f"{f'{word} {c.takes}'.ljust(wide)}  {c.what}" for word, c in COMMANDS.items()]
    return Obeyed(
        "\n".join([*rows, 'Several lines, in a question or after a command: between two """.'])
    )


def _clear(conversation: Conversation, text: str) -> Obeyed:
    conversation.clear()
    return Obeyed("The conversation is forgotten.")


def _system(conversation: Conversation, text: str) -> Obeyed:
    conversation.system = text or None
    if not text:
        return Obeyed("There is no system prompt now.")
    fixed = [voice.label for voice in conversation.voices if voice.fixed]
    kept = f" ({', '.join(fixed)} keeps its own)" if fixed else ""
    return Obeyed(f"The system prompt is set{kept}.")


def _status(conversation: Conversation, text: str) -> Obeyed:
    settings, system = conversation.settings, conversation.system
    rows = []
    for voice in conversation.voices:
        used, context = voice.speaker.size(conversation.prompt_of(voice), voice.turns)
        # "strength 1" is what a bake's name means already.
        scaled = voice.speaker.strength
        at = f", strength {scaled:g}" if scaled not in (None, 1.0) else ""
        rows.append((voice.label or "model", f"{voice.speaker.name}{at}"))
        rows.append(("context", f"{used} of {context} tokens"))
    shown = system if system is None else " ".join(system.split())
    if shown is not None and len(shown) > SHOWN_OF_SYSTEM:
        shown = f"{shown[:SHOWN_OF_SYSTEM]}... ({len(shown)} characters)"
    rows += [
        ("system", shown or "(none)"),
        ("answers", _how(settings.temperature, settings.top_p, settings.seed)),
        ("turns", str(len(conversation.asked))),
    ]
    return Obeyed("\n".join(f"{label:<9} {value}" for label, value in rows))


def _how(temperature: float, top_p: float, seed: int | None) -> str:
    if not temperature:
        return "the likeliest token every time (temperature 0)"
    parts = [f"temperature {temperature:g}"]
    if top_p != 1:
        parts.append(f"top-p {top_p:g}")
    if seed is not None:
        parts.append(f"seed {seed}")
    return ", ".join(parts)


def _retry(conversation: Conversation, text: str) -> Obeyed:
    return Obeyed(ask=conversation.again())


def _compare(conversation: Conversation, text: str) -> Obeyed:
    sides, question = conversation.compared(text)
    return Obeyed(f"> {question}", ask=question, of=sides)


def _undo(conversation: Conversation, text: str) -> Obeyed:
    return Obeyed(f"Taken back: {conversation.undo()}")


def _history(conversation: Conversation, text: str) -> Obeyed:
    return Obeyed(_as_text(conversation) or "Nothing was said yet.")


def _save(conversation: Conversation, text: str) -> Obeyed:
    if not text:
        raise ConfigError("/save takes the name of a file", hint="FILE.json keeps the messages.")
    try:
        path = expanded(text)
        if path.exists():
            raise ConfigError(
                f"{path} exists already", hint="Give another name: nothing is replaced."
            )
        saved = (
            json.dumps(conversation.as_data(), indent=2, ensure_ascii=False)
            if path.suffix == ".json"
            else _as_text(conversation)
        )
        write_atomic(path, saved + "\n")
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{text} cannot be written: {reason}") from error
    return Obeyed(f"Saved to {path}.")


def _temperature(conversation: Conversation, text: str) -> Obeyed:
    conversation.settings = conversation.settings.with_temperature(text)
    return Obeyed(f"The temperature is {conversation.settings.temperature:g}.")


def _strength(conversation: Conversation, text: str) -> Obeyed:
    return Obeyed(f"The strength of the bake is {conversation.scale(text):g}.")


def _leave(conversation: Conversation, text: str) -> Obeyed:
    return Obeyed(leave=True)


def _as_text(conversation: Conversation) -> str:
    parts = [f"system: {conversation.system}"] if conversation.system and conversation.asked else []
    for index, question in enumerate(conversation.asked):
        parts.append(f"> {question}")
        for voice in conversation.voices:
            answer = str(voice.turns[2 * index + 1]["content"])
            parts.append(f"{voice.label}: {answer}" if voice.label else answer)
    return "\n\n".join(parts)


@dataclass(frozen=True, slots=True)
class Command:
    """One slash command: what it takes, what it does, in words and in deed."""

    takes: str
    what: str
    do: Callable[[Conversation, str], Obeyed]


COMMANDS: Mapping[str, Command] = {
    "/help": Command("", "list the commands", _help),
    "/clear": Command("", "forget the conversation, keep the system prompt", _clear),
    "/system": Command("TEXT", "set the system prompt; without TEXT, remove it", _system),
    "/status": Command("", "model, system prompt, settings, length", _status),
    "/retry": Command("", "ask the last question again", _retry),
    "/compare": Command(
        "TEXT", "base, prompted and baked answer TEXT, else the last question, alone", _compare
    ),
    "/undo": Command("", "take the last question and its answer back", _undo),
    "/history": Command("", "show what was said", _history),
    "/save": Command("FILE", "save it to a file; .json keeps the messages", _save),
    "/temperature": Command(
        "X", "0 takes the likeliest token, 1 draws as the model says", _temperature
    ),
    "/strength": Command("X", "how much of the bake: 0 its parent, 1 as baked", _strength),
    "/quit": Command("", "leave (so does Ctrl-D)", _leave),
    "/exit": Command("", "the same", _leave),
}
