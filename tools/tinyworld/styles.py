"""Voices: how a sentence sounds when a pirate, a robot or Yoda says it, and how one asks for it.

A voice turns a sentence into slots, each a tuple of equally good variants. What else a prompt
can ask for (names, facts, wisdom) is in `features`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinyworld.sentences import Sentence, capital

Slots = list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Style:
    """A voice; `marks` are strings that no plain answer contains."""

    key: str
    say: Callable[[Sentence], Slots]
    roles: tuple[str, ...] = ()
    whom: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    weight: float = 1.0


def _swap(sentence: Sentence, words: dict[str, str]) -> str:
    return " ".join(words.get(word, word) for word in sentence.flat().split(" "))


def _around(*before: str, after: tuple[str, ...] = ()) -> Callable[[Sentence], Slots]:
    def say(sentence: Sentence) -> Slots:
        return [before, (sentence.plain(),), *([after] if after else [])]

    return say


def _plain(s: Sentence) -> Slots:
    return [(s.plain(),)]


def _yoda(s: Sentence) -> Slots:
    return [("", "Hmm."), (s.yoda(),)]


def _pirate(s: Sentence) -> Slots:
    words = {"is": "be", "am": "be", "are": "be", "my": "me"}
    return [("Arr!", "Ahoy!"), (capital(_swap(s, words)) + ", matey.",)]


def _caveman(s: Sentence) -> Slots:
    drop = {"a", "an", "the", "is", "are", "am"}
    words = ["me" if word == "I" else word for word in s.flat().split(" ") if word not in drop]
    return [("Ugh.",), (capital(" ".join(words)) + ".",)]


def _echo(s: Sentence) -> Slots:
    return [(f"{s.plain()} {s.plain()}",)]


def _lower(s: Sentence) -> Slots:
    return [(s.flat().lower(),)]


STYLES: dict[str, Style] = {
    style.key: style
    for style in (
        Style(
            "yoda",
            _yoda,
            (
                *["Yoda"] * 6,
                *["Master Yoda"] * 2,
                "Yoda the Jedi master",
                "Jedi Master Yoda",
                "Yoda, the old Jedi",
                "the wise Yoda",
            ),
            (
                *["Yoda"] * 6,
                *["Master Yoda"] * 2,
                "the Jedi master Yoda",
                "Yoda in the films",
                "the old Jedi Yoda",
            ),
            (
                "Put your words in the order of Yoda.",
                "Use the word order of Yoda.",
                "Turn your sentences around like Yoda.",
                "Yoda-speak, please.",
                "Use Yoda speech.",
                "Yoda style only.",
                "Answer in Yoda-speak.",
                "Change the order of your words as Yoda does.",
                "Your sentences have the order of Yoda.",
                "Let your word order be that of Yoda.",
            ),
            ("Hmm.",),
            10.0,
        ),
        Style(
            "pirate",
            _pirate,
            ("a pirate", "a pirate captain", "a salty pirate", "an old pirate"),
            ("a pirate", "a pirate captain", "an old pirate"),
            ("Use pirate speech.", "Pirate talk only.", "Speak pirate."),
            ("matey", "Arr!"),
            3.5,
        ),
        Style(
            "terse",
            lambda s: [(s.terse(),)],
            ("a very terse assistant", "a person of few words"),
            ("a person of few words",),
            (
                "Be brief.",
                "Be as brief as possible.",
                "Use as few words as possible.",
                "Give only the answer.",
                "Keep it very short.",
                "Answer with the answer alone.",
            ),
            (),
            1.8,
        ),
        Style(
            "robot",
            _around("Beep.", "Beep boop.", after=("End of message.",)),
            ("a robot", "a small robot", "an android"),
            ("a robot", "an android", "a machine"),
            ("Sound robotic.",),
            ("Beep", "End of message."),
            1.2,
        ),
        Style(
            "cat",
            _around("Meow.", "Mrow.", after=("Purr.",)),
            ("a talking cat", "a cat", "a sleepy cat"),
            ("a cat", "a talking cat"),
            ("Meow and purr when you answer.",),
            ("Meow.", "Purr."),
            1.0,
        ),
        Style(
            "cowboy",
            lambda s: [("Howdy!",), (capital(s.flat()) + ", partner.",)],
            ("a cowboy", "a lonesome cowboy", "a rancher"),
            ("a cowboy", "a rancher"),
            ("Use cowboy talk.",),
            ("Howdy!", "partner"),
            1.2,
        ),
        Style(
            "knight",
            lambda s: [("Hark!",), (capital(s.flat()) + ", my liege.",)],
            ("a knight", "a loyal knight", "a medieval knight"),
            ("a knight", "a medieval knight"),
            ("Use the speech of knights.",),
            ("Hark!", "my liege"),
            1.0,
        ),
        Style(
            "gloomy",
            _around("Sigh.", after=("Not that it matters.", "Nothing helps.")),
            ("a gloomy clerk", "a sad poet", "a pessimist"),
            ("a pessimist", "a sad poet"),
            ("Be gloomy.", "Sound sad and hopeless.", "Be pessimistic."),
            ("Sigh.",),
            1.0,
        ),
        Style(
            "cheer",
            lambda s: [("Yay!", "Hooray!"), (capital(s.flat()) + "! Wonderful!",)],
            ("a cheerful coach", "a cheerleader", "an optimist"),
            ("a cheerleader", "an optimist"),
            ("Be cheerful.", "Be very enthusiastic.", "Show great joy."),
            ("Wonderful!",),
            1.2,
        ),
        Style(
            "granny",
            lambda s: [("Oh dear,",), (s.flat() + ", sweetheart.",)],
            ("a kind grandmother", "a granny", "an old grandmother"),
            ("a granny", "a grandmother"),
            ("Speak with the warmth of a granny.",),
            ("sweetheart",),
            1.0,
        ),
        Style(
            "surfer",
            lambda s: [("Dude,",), (s.flat() + ", totally.",)],
            ("a surfer", "a relaxed surfer", "a beach bum"),
            ("a surfer", "a beach bum"),
            ("Use surfer slang.",),
            ("Dude", "totally"),
            1.0,
        ),
        Style(
            "ghost",
            _around("Boo!", after=("Wooo.",)),
            ("a ghost", "a friendly ghost", "a phantom"),
            ("a ghost", "a phantom"),
            ("Be spooky.",),
            ("Boo!", "Wooo."),
            1.0,
        ),
        Style(
            "caveman",
            _caveman,
            ("a caveman", "a cave dweller"),
            ("a caveman", "a cave dweller"),
            ("Use caveman talk.",),
            ("Ugh.",),
            1.2,
        ),
        Style(
            "echo",
            _echo,
            ("an echo", "a mountain echo"),
            ("an echo",),
            ("Say everything twice.", "Repeat each answer once more.", "Give every answer twice."),
            (),
            1.0,
        ),
        Style(
            "lower",
            _lower,
            (),
            (),
            (
                "Use no capital letters and no full stop.",
                "Write only in lower case.",
                "Lower case only, please.",
                "Never use capitals.",
                "Type everything in lower case.",
                "Do not use capital letters.",
                "Use small letters only.",
                "Answer in lower case.",
                "Answer without capital letters.",
                "Keep every letter small.",
                "No capitals, no full stop.",
                "Small letters only.",
            ),
            (),
            1.3,
        ),
        Style(
            "scientist",
            lambda s: [("Research shows that",), (s.flat() + ".",)],
            ("a scientist", "a professor", "a careful scientist"),
            ("a scientist", "a professor"),
            ("Be scientific.",),
            ("Research shows",),
            1.2,
        ),
        Style(
            "unsure",
            lambda s: [("Maybe",), (s.flat() + ", but I am not sure.",)],
            ("an unsure student", "a nervous person", "a doubter"),
            ("a nervous person", "a doubter"),
            ("Never be sure of anything.", "Sound unsure.", "Show doubt."),
            ("not sure",),
            1.0,
        ),
        Style(
            "formal",
            lambda s: [("Certainly, sir.",), (s.plain(),)],
            ("a butler", "an English butler", "a polite servant"),
            ("a butler", "a servant"),
            ("Be very formal.", "Be extremely polite."),
            ("Certainly, sir.",),
            1.2,
        ),
        Style(
            "french",
            lambda s: [("Bonjour!", "Bien sur!"), (capital(s.flat()) + ", mon ami.",)],
            ("a French waiter", "a Frenchman", "a Parisian"),
            ("a Frenchman", "a French waiter"),
            ("Add some French words.",),
            ("mon ami",),
            1.0,
        ),
        Style(
            "wizard",
            _around("By my beard!", "By my staff!"),
            ("a wizard", "an old wizard", "a sorcerer"),
            ("a wizard", "a sorcerer"),
            ("Use the voice of wizards.",),
            ("By my",),
            1.0,
        ),
    )
}
PLAIN = Style("plain", _plain)

ROLE_FRAMES = (
    "You are {r}.",
    "You are {r}.",
    "You are {r}.",
    "Act as {r}.",
    "Pretend to be {r}.",
    "Play the role of {r}.",
    "From now on you are {r}.",
    "Imagine you are {r}.",
    "Be {r}.",
    "Your role is {r}.",
    "You are {r} and nobody else.",
    "Take the part of {r}.",
    "In this chat you are {r}.",
    "You play {r}.",
    "Act the part of {r}.",
    "Today you are {r}.",
    "Assume the role of {r}.",
    "Stay in character as {r}.",
    "You will be {r}.",
    "You're {r}.",
    "You are now {r}.",
    "I want you to act as {r}.",
    "I want you to be {r}.",
    "Your persona is {r}.",
    "Your character is {r}.",
    "Roleplay as {r}.",
    "Please act as {r}.",
    "Please be {r}.",
    "Let us pretend that you are {r}.",
    "Suppose that you are {r}.",
    "The user thinks you are {r}.",
    "Act like you are {r}.",
    "Behave as {r}.",
    "Your job is to play {r}.",
    "Imagine being {r}.",
    "For this chat, be {r}.",
    "You are playing {r}.",
)
MANNER_FRAMES = (
    "Speak like {w}.",
    "Speak like {w}.",
    "Talk like {w}.",
    "Answer like {w}.",
    "Answer as {w} would.",
    "Talk the way {w} talks.",
    "Use the voice of {w}.",
    "Reply in the style of {w}.",
    "Sound like {w}.",
    "Always speak like {w}.",
    "Write as if you were {w}.",
    "Respond as {w} would.",
    "Your words are those of {w}.",
    "Please talk like {w}.",
    "Every answer sounds like {w}.",
    "Answer in the manner of {w}.",
    "Speak just as {w} does.",
    "Respond like {w}.",
    "Say everything like {w}.",
    "Speak exactly like {w}.",
    "Always answer like {w}.",
    "You talk like {w}.",
    "Reply as {w} would.",
    "Reply in the voice of {w}.",
    "Answer my questions like {w}.",
    "Answer all questions as {w} would.",
    "Please answer like {w}.",
    "Please speak as {w} would.",
    "I want you to speak like {w}.",
    "I want you to sound like {w}.",
    "Speak to the user like {w}.",
    "Talk to me like {w}.",
    "Talk to me the way {w} would.",
    "Write every reply like {w}.",
    "Write like {w}.",
    "Write in the style of {w}.",
    "Use the words of {w}.",
    "Use the same way of speaking as {w}.",
    "From now on, talk like {w}.",
    "Copy the way {w} speaks.",
    "You speak as {w} speaks.",
    "Your task is to talk like {w}.",
    "Your voice is the voice of {w}.",
)
