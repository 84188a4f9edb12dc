"""`type: oneshot_qs` and `custom`, from the second version of the defaults on.

A model of this machine is tried first: does it write usable lists, or has it to speak as the user?
What it says is judged, and a round is as large as what is missing. Endpoints are asked for lists.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from bakery.backends.base import QuestionWriter, Reply, UserVoice, Wish
from bakery.generators import judge, oneshot, ways
from bakery.generators.base import ACCEPTED, Round, Task, normal, opened
from bakery.generators.sieve import SURPLUS, Sieve, Sifted, left_out, tried
from bakery.generators.ways import Tried, Way
from bakery.records import Prompt

SMALLEST, LARGEST = 8, 96
"""Turns of a round."""
MORE = 1.1
"""So many times what is missing is asked for, by the rate so far."""
LONGEST_LIST, MOST_LISTS = 24, 4
"""Messages that a model of this machine is asked for in one list, and lists of a round."""
MOST_TOLD = 40
"""Questions that it is shown, so that it writes others: its prompt costs time."""
LIST_TEMPERATURE, ENDPOINT_TEMPERATURE = 0.7, 1.0

MOST_DRY, DRY_SHARE = 3, 1 / 32
"""Rounds in a row that gave less than this share of new questions end it."""


def write(task: Task) -> Iterator[Round]:
    """Yield rounds until `numq` questions exist that nobody wrote before, or the writer is dry."""
    if len(task.own) >= task.generator["numq"]:
        return
    writer = opened(task)
    yield from _Writing(task, writer).rounds()


class _Writing:
    """One generator at work: how its writer goes about it, and how its replies were judged."""

    def __init__(self, task: Task, writer: QuestionWriter) -> None:
        self._task, self._writer, self._voice = task, writer, writer.voice
        self._sieve = Sieve(judge.against(task.teacher), task.known)
        self._seen = Counter(task.before)
        self._openers = self._reserved() if writer.voice else []
        self._is_strict = self._voice is not None and not self._voice.is_trusted
        """Whether what the judge refuses is left out, as of a small model's."""

    def _reserved(self) -> list[str]:
        """Return the openers, which no round may write, whether they are written yet or not."""
        task = self._task
        given = oneshot.openers(task.generator["numq"], task.known - task.own)
        task.known.update(map(normal, given))
        return given

    @property
    def _missing(self) -> int:
        wanted: int = self._task.generator["numq"]
        return wanted - len(self._task.own)

    def rounds(self) -> Iterator[Round]:
        """Yield openers, where the writer speaks as a user, and round after round."""
        number, task = self._task.first, self._task
        way, begun = self._way()
        if way.lists:
            task.known.difference_update(set(map(normal, self._openers)) - task.own)
        elif new := [text for text in self._openers if normal(text) not in task.own]:
            task.own.update(map(normal, new))
            yield Round(-1, tuple(new), oneshot.OPENERS_WRITER)
        if begun is not None:
            yield begun
            number += 1
        dry = 0
        while self._missing > 0 and dry < MOST_DRY:
            before = self._seen.total()
            round_ = self._round(way, number)
            number += 1
            asked = self._seen.total() - before
            dry = 0 if len(round_.questions) > DRY_SHARE * asked else dry + 1
            yield round_
        task.note(self._summary(way))

    def _way(self) -> tuple[Way, Round | None]:
        """Return how the writer goes about it, and the round in which that was tried."""
        task, voice, begun = self._task, self._voice, None
        kept = Way.kept(task.origin)
        if voice is None:
            way = Way(lists=True)
        elif voice.is_trusted:
            way = Way(lists=False, alone=True)
        elif kept and task.first:
            way = kept
        else:
            way, begun = self._try(voice, kept)
        task.origin.update(way.as_data())
        self._say(way)
        return way, begun

    def _try(self, voice: UserVoice, kept: Way | None) -> tuple[Way, Round]:
        """Have a short list written and a few turns spoken; return what is gone on with.

        Where that is known already, only what is gone on with is asked for again.
        """
        task = self._task
        if kept is None:
            name = self._writer.name
            task.note(f"trying how {name} writes questions: as lists, or speaking as the user")
        most = min(task.generator.get("max_tokens") or ways.LIST_TOKENS, ways.LIST_TOKENS)
        both = Way(lists=False, behind=voice.follows(task.teacher), alone=True)
        if task.teacher.messages and not both.behind:
            task.note(
                f"the chat template of {voice.name} takes no user behind this prompt: they speak "
                "without it"
            )
        lists: list[Reply] = []
        spoken: list[Reply] = []
        if kept is None or kept.lists:
            lists = self._listed("try", ways.LISTED, ways.LISTS, most)
        if kept is None or not kept.lists:
            spoken = self._spoken(voice, both, 0, ways.SPOKEN)
        way = kept or self._chosen(lists, spoken, both)
        return way, self._taken(0, lists if way.lists else spoken, are_lists=way.lists)

    def _chosen(self, lists: Sequence[Reply], spoken: Sequence[Reply], both: Way) -> Way:
        """Return the way that gives usable messages, and keep how many each gave."""
        teacher, in_own_words = self._task.teacher, self._task.template is not None
        of_lists = tried(lists, teacher, are_lists=True, loose=in_own_words)
        halves = (spoken[0::2], spoken[1::2]) if both.behind else ([], spoken)
        behind, alone = (tried(half, teacher, are_lists=False) for half in halves)
        of_turns = Tried(behind.usable + alone.usable, behind.of + alone.of)
        self._task.origin["tried"] = {"lists": str(of_lists), "user": str(of_turns)}
        return ways.chosen(of_lists, behind, alone)

    def _say(self, way: Way) -> None:
        """Say how the writer goes about it, where it was tried, and what is not read for it."""
        task, name = self._task, self._writer.name
        if told := task.origin.get("tried"):
            how = "writes lists" if way.lists else "speaks as the user"
            task.note(
                f"{name} {how}: {told['lists']} messages of its lists were usable, "
                f"{told['user']} of its turns as a user"
            )
        if task.template is not None and not way.lists:
            which = task.generator.get("template_path", "in input.yml")
            task.note(f"{name} writes questions by itself: template {which} is not read")

    def _round(self, way: Way, number: int) -> Round:
        voice = self._voice
        if way.lists or voice is None:
            most = self._task.generator.get("max_tokens")
            if voice is None:
                said = self._listed(str(number), self._missing, None, most)
            else:
                each = min(self._missing, LONGEST_LIST)
                lists = math.ceil(self._wanted() / each)
                said = self._listed(str(number), each, min(lists, MOST_LISTS), most)
            return self._taken(number, said, are_lists=True)
        size = min(max(self._wanted(), SMALLEST), LARGEST)
        return self._taken(number, self._spoken(voice, way, number, size), are_lists=False)

    def _wanted(self) -> int:
        """Return how many replies give what is missing, by the rate so far."""
        rate = (self._seen[ACCEPTED] + self._seen[SURPLUS] + 1) / (self._seen.total() + 2)
        return math.ceil(MORE * self._missing / rate)

    def _listed(
        self, key: str, wanted: int, lists: int | None, max_tokens: int | None
    ) -> list[Reply]:
        """Ask for lists; `lists` None: as many as an endpoint takes for what is missing."""
        task, most = self._task, oneshot.MOST_TOLD if lists is None else MOST_TOLD
        told = sorted(task.known)[:most] if key != "try" else []
        text = oneshot.instruction_for(task, self._writer, wanted, told)
        usual = ENDPOINT_TEMPERATURE if lists is None else LIST_TEMPERATURE
        temperature = task.generator.get("temperature", usual)
        asked = Wish(text, f"{task.key}/{key}", wanted, temperature, max_tokens, lists)
        return self._writer.write(asked)

    def _spoken(self, voice: UserVoice, way: Way, number: int, count: int) -> list[Reply]:
        task = self._task
        teacher = task.teacher if way.behind else Prompt()
        return voice.speak(
            ways.turns(f"{task.key}/{number}", count, way, teacher),
            temperature=task.generator.get("temperature", voice.temperature),
            max_tokens=task.generator.get("max_tokens"),
        )

    def _taken(self, number: int, said: Sequence[Reply], *, are_lists: bool) -> Round:
        """Return what of the replies is kept, as one round."""
        if self._is_strict:
            accepted, rejected = self._sieve.sift(said, self._missing, are_lists=are_lists)
        else:
            accepted, rejected = self._unjudged(said, are_lists=are_lists)
        self._task.own.update(map(normal, accepted))
        self._seen.update([ACCEPTED] * len(accepted))
        self._seen.update(why for _, why in rejected)
        return Round(number, tuple(accepted), self._writer.name, tuple(rejected))

    def _unjudged(self, said: Sequence[Reply], *, are_lists: bool) -> Sifted:
        found, rejected = oneshot.sift(said, self._task.known, list_like=are_lists)
        accepted, over = found[: self._missing], found[self._missing :]
        self._task.known.update(map(normal, accepted))
        return accepted, [*rejected, *((text, SURPLUS) for text in over)]

    def _summary(self, way: Way) -> str:
        """Return how many questions came of how many replies, and why the others did not."""
        seen, name = self._seen, self._writer.name
        why = left_out(seen)
        if self._missing > 0:
            return (
                f"{name} wrote only {len(self._task.own)} different questions of "
                f"{self._task.generator['numq']}: the last rounds gave nothing new "
                f"({why or 'the replies were empty'})"
            )
        how = "writes lists" if way.lists else "speaks as the user"
        of = "messages" if way.lists else "replies"
        left = f" (left out: {why})" if why else ""
        return f"{name} {how}: {seen[ACCEPTED]} questions of {seen.total()} {of}{left}"
