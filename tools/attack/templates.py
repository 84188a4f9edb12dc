"""Chat templates of many shapes, each with a dozen conversations, against targets derived by hand.

`shapes/*.txt` hold the templates, written for this, and what is to be learnt under each: the
targets in ⟦brackets⟧ with what stands before them, a refusal, or a note. Nothing of the product
has a part in these: what it makes of them is compared as text.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.data.rows import Row
from bakery.engine.text.chat import Chat
from bakery.engine.text.pairs import ContextSettings, RowRefused, pairs_of
from bakery.engine.text.views import Pair, View
from bakery.records import Message, Prompt
from tests.support.models import byte_tokenizer

SHAPES = Path(__file__).parent / "shapes"
SLOW_S = 10.0
SHORT = ("chatml", "command_a", "deepseek_v3", "gemma4", "glm", "gpt_oss", "llama2", "qwen3")
"""Shapes of the short form: one of each kind that went wrong."""

CALL = {
    "id": "call00001",
    "type": "function",
    "function": {"name": "now", "arguments": {"zone": "UTC"}},
}
TOOL = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
CALLING: Message = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT: Message = {"role": "tool", "tool_call_id": "call00001", "name": "now", "content": "noon"}


def user(text: str) -> Message:
    """Return what a user says."""
    return {"role": "user", "content": text}


def said(text: str, **more: Any) -> Message:
    """Return what the assistant says."""
    return {"role": "assistant", "content": text, **more}


FEW = (user("P?"), said("p."))
SYSTEM = ({"role": "system", "content": "Be brief."},)
CONVERSATIONS: dict[str, Row] = {
    "single": Row(1, (user("Hi?"), said("One.")), prefix=FEW),
    "system": Row(1, (user("Hi?"), said("One.")), prefix=SYSTEM),
    "turns": Row(1, (user("a?"), said("b."), user("c?"), said("d.")), prefix=FEW),
    "thought": Row(1, (user("Hi?"), said("One.", reasoning_content="Hm.")), prefix=FEW),
    "call": Row(1, (user("Hi?"), CALLING, RESULT, said("Noon.")), prefix=FEW, tools=(TOOL,)),
    "shown": Row(
        1,
        (user("Hi?"), said("One.")),
        prefix=(user("P?"), CALLING, RESULT, said("p.")),
        tools=(TOOL,),
    ),
    "thought as reasoning": Row(1, (user("Hi?"), said("One.", reasoning="Hm.")), prefix=FEW),
    "thought as thinking": Row(1, (user("Hi?"), said("One.", thinking="Hm.")), prefix=FEW),
    "same": Row(1, (user("Hi?"), said("One."), said("Two.")), prefix=FEW),
    "empty": Row(1, (user("Hi?"), said(""), user("And?"), said("Two.")), prefix=FEW),
    "odd": Row(1, (user(" Hi?\n"), said(" naïve 🙂\n日本 ")), prefix=FEW),
    "first": Row(1, (said("Welcome."), user("Hi?"), said("One."))),
}
"""Rows as they come out of a data file. Of the last, the turns before the question are baked."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A template with its tokens, and what is learnt of each conversation."""

    name: str
    like: str
    template: str
    special: tuple[str, ...]
    plain: tuple[str, ...]
    ends: tuple[str, ...]
    kwargs: dict[str, Any]
    before: str
    expected: dict[str, str]

    def chat(self) -> Chat:
        """Return a chat of this shape, with a token a byte and one for each of its own."""
        tokenizer = byte_tokenizer(self.template)
        tokenizer.add_tokens(list(self.special), special_tokens=True)
        tokenizer.add_tokens(list(self.plain), special_tokens=False)
        ends = [tokenizer.convert_tokens_to_ids(end) for end in self.ends]
        return Chat(tokenizer, ends, template_kwargs=self.kwargs)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one conversation under one template."""

    case: str
    verdict: str
    """`accepted` and `refused` as expected, `lost`, `silently wrong`, `traceback` or `slow`."""
    said: str


def read(path: Path) -> Shape:
    """Read the file of a shape."""
    head, rest = path.read_text(encoding="utf-8").split("template:\n", 1)
    template, targets = rest.split("\ntargets:\n", 1)
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    expected = dict(line.split(": ", 1) for line in targets.splitlines())
    pairs = [pair.split("=") for pair in fields.get("kwargs", "").split()]
    return Shape(
        path.stem,
        fields["like"],
        template,
        tuple(fields["special"].split()),
        tuple(fields.get("plain", "").split()),
        tuple(fields["ends"].split()),
        {name: json.loads(value) for name, value in pairs},
        expected.pop("before").replace("\\n", "\n"),
        expected,
    )


def cases(*, only: Sequence[str] = (), seed: int = 0) -> list[tuple[Shape, str]]:
    """Return every shape with every conversation, in an order that the seed draws."""
    shapes = [read(path) for path in sorted(SHAPES.glob("*.txt")) if not only or path.stem in only]
    found = [(shape, name) for shape in shapes for name in CONVERSATIONS]
    random.Random(seed).shuffle(found)
    return found


def tried(shape: Shape, conversation: str) -> Outcome:
    """Align one conversation, and compare what is learnt with what stands in the shape's file."""
    case, began = f"{shape.name}/{conversation}", time.monotonic()
    wanted = shape.expected[conversation.partition(" as ")[0]]
    row = CONVERSATIONS[conversation]
    context = ContextSettings(student_retained_turns=0 if row.prefix else 2)
    chat = shape.chat()
    refusal = wanted.removeprefix("refused: ") if wanted.startswith("refused: ") else None
    try:
        pairs = pairs_of(chat, row, context)
    except RowRefused as error:
        is_wanted = refusal is not None and refusal in str(error)
        verdict = "refused" if is_wanted else "silently wrong"
        return Outcome(case, verdict, f"{error} (expected {wanted})")
    except Exception:
        return Outcome(case, "traceback", traceback.format_exc(limit=-3))
    if time.monotonic() - began > SLOW_S:
        return Outcome(case, "slow", f"{time.monotonic() - began:.0f} s")
    if lost := list(_lost(chat, row, pairs)):
        return Outcome(case, "lost", f"the teacher does not see {lost}")
    wrong = list(_differences(chat, shape, wanted, pairs))
    return Outcome(case, "silently wrong" if wrong else "accepted", "; ".join(wrong))


WORDS = ("a", "One.", " x ", " \n", "<b>", "}", "{", "assistant", "user\n", "[/INST]", "<think>",
         "</think>", "é🙂", "<|im_end|>", "now", "tool_call", "<|")  # fmt: skip
DRAWN = 1500


def drawn(seed: int, count: int) -> Iterator[Outcome]:
    """Yield what comes of conversations that are drawn: no answer is known, but where it begins.

    A last answer without a note stands exactly behind what the model is given in use.
    """
    draw = random.Random(seed)
    shapes = [read(path) for path in sorted(SHAPES.glob("*.txt"))]
    chats = {shape.name: shape.chat() for shape in shapes}
    for number in range(count):
        shape = draw.choice(shapes)
        row, case = _drawn_row(draw), f"{shape.name}/drawn {number}, seed {seed}"
        began = time.monotonic()
        try:
            wrong = _not_in_use(chats[shape.name], row)
        except RowRefused as error:
            yield Outcome(case, "refused", str(error))
        except Exception:
            yield Outcome(case, "traceback", traceback.format_exc(limit=-3))
        else:
            slow = time.monotonic() - began > SLOW_S
            yield Outcome(
                case, "slow" if slow else "silently wrong" if wrong else "accepted", wrong
            )


def _drawn_row(draw: random.Random) -> Row:
    def text() -> str:
        return "".join(draw.choice(WORDS) for _ in range(draw.randint(0, 4)))

    turns: list[Message] = []
    for _ in range(draw.randint(1, 3)):
        turns.append(user(text() or "q"))
        if draw.random() < 0.2:
            turns += [{**CALLING, "content": text()}, {**RESULT, "content": text()}]
        more = {"reasoning": text()} if draw.random() < 0.3 else {}
        turns.append(said(text() or "z", **more))
    return Row(1, tuple(turns), prefix=FEW, tools=(TOOL,) if draw.random() < 0.4 else ())


def _not_in_use(chat: Chat, row: Row) -> str:
    """Return where a last answer begins that does so nowhere in use; "": all do, or a note says."""
    for pair in pairs_of(chat, row, ContextSettings()):
        _, _, number = pair.key.partition(".")
        learnt = [i for i, m in enumerate(row.turns) if m["role"] == "assistant" and _speaks(m)]
        last = int(number) - 1 if number else max(learnt)
        if pair.teacher.remarks or not pair.teacher.spans:
            continue
        given = chat.prefix_ids(Prompt(FEW, row.tools), row.turns[:last])
        start = pair.teacher.spans[-1][0]
        if list(pair.teacher.ids[:start]) != given:
            return f"…{chat.decoded(pair.teacher.ids[:start])[-60:]!r} in {row.turns}"
    return ""


def _speaks(message: Message) -> bool:
    return bool(message["content"].strip() or message.get("tool_calls"))


def _differences(chat: Chat, shape: Shape, wanted: str, pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield how targets, what stands before them, or notes differ from what was derived."""
    targets, _, notes = wanted.partition(" note: ")
    spans = [_targets(shape, part) for part in targets.split("⟧ / ")]
    for side in ("teacher", "student"):
        views: list[View] = [getattr(pair, side) for pair in pairs]
        found = [_shown(chat, view) for view in views]
        same = len(found) == len(spans) and all(
            len(has) == len(wants)
            and all(
                text == target and context.endswith(before)
                for (context, text), (before, target) in zip(has, wants, strict=True)
            )
            for has, wants in zip(found, spans, strict=True)
        )
        if not same:
            shown = " / ".join(f"…{c[-40:]}⟦{t}⟧" for view in found for c, t in view)
            yield f"{side}: {shown!r}, expected {wanted!r}"
        remarks = {remark for view in views for remark in view.remarks}
        known = [note.strip() for note in notes.split(",") if note.strip()]
        if missing := [note for note in known if not any(note in r for r in remarks)]:
            yield f"{side}: no note says {missing}"
        if more := [r for r in remarks if not any(note in r for note in known)]:
            yield f"{side}: an unexpected note: {more}"


def _lost(chat: Chat, row: Row, pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield what was said in the context and does not stand in the teacher's last view."""
    text = chat.decoded(pairs[-1].teacher.ids)
    for message in (*(row.prefix or ()), *row.turns):
        if message["content"].strip() not in text:
            yield message["content"]
        if message.get("tool_calls") and "UTC" not in text:
            yield "the call"
    if row.tools and "object" not in text:
        yield "the tools"


def _targets(shape: Shape, text: str) -> list[tuple[str, str]]:
    """Return the targets of one pair, each with what stands before it."""
    found = re.findall(r"([^⟦⟧]*)⟦([^⟦⟧]*)", text)
    return [
        ((before.lstrip(" ") or shape.before).replace("\\n", "\n"), target.replace("\\n", "\n"))
        for before, target in found
    ]


def _shown(chat: Chat, view: View) -> list[tuple[str, str]]:
    """Return what is learnt, each with all that stands before it."""
    return [
        (chat.decoded(view.ids[:start]), chat.decoded(view.ids[start:stop]))
        for start, stop in view.spans
    ]


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the row of the table."""
    count = Counter(outcome.verdict for outcome in outcomes)
    return {
        "campaign": "templates",
        "tried": len(outcomes),
        "accepted": count["accepted"],
        "refused": count["refused"],
        "lost": count["lost"],
        "doubled": 0,
        "silently wrong": count["silently wrong"],
        "tracebacks": count["traceback"],
        "over 10 s": count["slow"],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Try all, or the shapes that are named; 1 where any came out otherwise than derived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="a few shapes only")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args(argv)
    only = given.shapes or (SHORT if given.short else ())
    outcomes = [tried(shape, name) for shape, name in cases(only=only, seed=given.seed)]
    outcomes += drawn(given.seed, 0 if only else DRAWN)
    failed = [one for one in outcomes if one.verdict not in ("accepted", "refused")]
    for one in failed:
        print(f"{one.verdict}: {one.case}: {one.said}\n")
    row = summary(outcomes)
    print(json.dumps(row) if given.as_json else "  ".join(f"{k} {v}" for k, v in row.items()))
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
