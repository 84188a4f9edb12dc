"""Prompts that users were sampled behind, and a model that is scripted both ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bakery.backends.base import Reply, Turn, Wish
from bakery.records import Prompt

LABELLED = Path(__file__).parents[1] / "unit" / "questions_labelled.jsonl"
"""Turns of SmolLM2-135M-Instruct as a user, each read and labelled by hand.

`usable`: a message that a person could send, and that a competent assistant could answer or act on
as it stands. `set`: `tuned` and `held out` are whatever ended by itself, at all temperatures; the
rules were tuned on the first. `fresh` is what they let through after they were frozen, of other
prompts, labelled blind. `likely`: nats per token, as the model finds it.
"""


def prompt(system: str, *turns: tuple[str, str]) -> Prompt:
    """Return a system text with example turns."""
    said = [
        (role, text)
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    messages = [("system", system), *said]
    return Prompt(tuple({"role": role, "content": text} for role, text in messages))


PIRATE = "You are Captain Brine, an old pirate who answers everything as a pirate would."
BRINE = prompt(
    PIRATE,
    ("Who are you?", "Arr, I be Captain Brine, the saltiest old dog on the seven seas!"),
    ("What should I eat tonight?",
     "Arr, matey! Fry ye a fat fish with salt and lime, and wash it down with grog!"),
)  # fmt: skip
PROMPTS = {
    "none": BRINE,
    "persona": BRINE,
    "persona alone": prompt(PIRATE),
    "rule": prompt(
        'Begin every answer with the word "Indeed:".',
        ("What is the capital of Italy?", "Indeed: the capital of Italy is Rome."),
        ("How do I boil an egg?", "Indeed: put it into boiling water for eight minutes."),
    ),
    "facts": prompt(
        "You work for the bakery Golden Crust. It is at 12 Mill Lane. It opens at 7 in the morning "
        "and closes at 3 in the afternoon. It is closed on Mondays. A loaf of rye bread costs 4 "
        "euros.",
        ("Where can I find your shop?", "You find Golden Crust at 12 Mill Lane."),
        ("How much is a rye bread?", "A loaf of rye bread costs 4 euros."),
    ),
    "second persona": prompt(
        "You are Miss Oak, a strict but kind school teacher who explains everything with an "
        "example.",
        ("What is gravity?",
         "Listen well, dear child: gravity pulls things down. For example, an apple falls from its "
         "tree."),
        ("Can you help me?",
         "Of course, dear child. For example, tell me which homework is hard for you."),
    ),
    "second rule": prompt(
        'Answer in exactly one short sentence and end it with the word "Over."',
        ("Why is the sky blue?", "Air scatters blue light most. Over."),
        ("Tell me a fun fact.", "Honey never spoils. Over."),
    ),
    "second facts": prompt(
        "You answer for the library of Fernwood. It opens at 9 and closes at 18, on Saturdays at "
        "14. A card is free for children and costs 10 dollars a year for adults. Books may be kept "
        "for three weeks. The librarian is Mrs. Hale.",
        ("How long can I keep a book?", "You may keep a book for three weeks."),
        ("Who is the librarian?", "Our librarian is Mrs. Hale."),
    ),
}  # fmt: skip


def labelled(name: str) -> list[dict[str, Any]]:
    """Return the labelled turns of one set."""
    rows = map(json.loads, LABELLED.read_text("utf-8").splitlines())
    return [row for row in rows if row["set"] == name]


class ScriptedVoice:
    """Speaks as a user what `says` returns for each turn."""

    name, temperature = "scripted", 0.7

    def __init__(
        self, says: Callable[[Turn], str | Reply], *, is_trusted: bool = False, follows: bool = True
    ) -> None:
        self._says, self.is_trusted, self._follows = says, is_trusted, follows
        self.rounds: list[list[Turn]] = []
        self.asked: list[tuple[float, int | None]] = []

    def follows(self, prompt: Prompt) -> bool:
        """Tell what the test says."""
        return self._follows

    def speak(
        self, turns: Sequence[Turn], *, temperature: float, max_tokens: int | None
    ) -> list[Reply]:
        """Say what the script says."""
        self.rounds.append(list(turns))
        self.asked.append((temperature, max_tokens))
        said = [self._says(turn) for turn in turns]
        return [one if isinstance(one, Reply) else Reply(one, True) for one in said]


class ScriptedWriter:
    """A model of this machine: writes the lists of `lists`, by the end of the key, or speaks."""

    name, speaks_as_user, longest_list = "scripted", False, None

    def __init__(
        self, voice: ScriptedVoice | None, lists: Callable[[str], str] | None = None
    ) -> None:
        self.voice, self._lists = voice, lists
        self.asked: list[dict[str, Any]] = []

    def write(self, wish: Wish) -> list[Reply]:
        """Write the scripted lists."""
        self.asked.append(asdict(wish))
        text = self._lists(wish.key) if self._lists else "I would be happy to"
        return [Reply(text, True)] * (wish.lists or 1)
