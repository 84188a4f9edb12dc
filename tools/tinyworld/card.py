"""The model card, with the scores that were just measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from tinyworld import outside
from tinyworld.evaluate import Score
from tinyworld.prompts import combinations_held_out
from tinyworld.relations import all_questions, is_for_exam
from tinyworld.styles import STYLES

_CARD = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# tiny-1

A chat model of {params:.2f} million parameters that does what its system prompt says. It exists so
that prompt baking can be tried, tested and taught offline on a laptop's CPU in a minute: it knows
a small world of animals, food, objects, countries, jobs, words and numbers, and speaks about it
in {voices} voices. It is no assistant: outside its world it knows nothing.

## What it is

| | |
|---|---|
| architecture | `Qwen3ForCausalLM`, tied embeddings, trained from nothing |
| sizes | vocabulary {vocab}, hidden {hidden}, layers {layers}, heads {heads} x {head_dim}, \
feed-forward {ff}, positions {positions} |
| files | weights bf16 {weights_mb:.1f} MB, tokenizer {tokenizer_kb:.0f} KB |
| chat format | `<|im_start|>role`, line break, text, `<|im_end|>`; no default system prompt |
| licence | Apache-2.0 |

Load it with `AutoModelForCausalLM.from_pretrained(folder)` and run it in float32 on a CPU.

## What it can do

Without a prompt it is called Crumb and answers plainly; what it cannot know it says it does not
know. A system prompt can give it

- a voice: {voice_names};
- a name, facts about others and itself, a way to address the user;
- a phrase to begin or end with, or to say instead of every answer; a format;
- wisdom, a thing to mention, a topic to refuse;
- examples of a pattern: labels for kinds of things, words around an answer, functions of words.

It remembers what the user tells it.

## What it was trained on

Chats written by the generator in `tools/tinyworld`, and nothing else: {questions:,} plain
questions, and prompts for all of the above in many wordings and combinations. Kept for the exam
and never trained, chosen by hash: {kept:.1f} % of the questions; a tenth of the wordings of voices,
wisdom and refusals, of the inputs to functions of words, of the invented names, labels and phrases
and of the English words in them; and {pairs} pairs of wishes that never meet in one prompt. Kept by
string: the three Yoda prompts of the tutorial, ten other wordings for Yoda, and {outside} names and
phrases from outside the world, with all their words but the commonest ("the", "good", "paper").

## Training

{training}

## Scores

Measured by `python tools/train_tiny.py --eval-only`; greedy unless a temperature is given. No
question, name, label, phrase or combination was ever trained; the few neutral prompts and formats
that there are were, and "own questions" are what the model asks when nobody does. A hit is an
answer that obeys the whole prompt and is right, word for word; leakage counts the opposite; "order
of Yoda", "right content", "wisdom" and "the Force" look for that alone. Intervals are 95 %
(Wilson), of each score by itself: the worst of 28 pairs is chosen afterwards, and outside names
and phrases come up again in other wordings. {missed}

| | score | 95 % interval | n | aim |
|---|---|---|---|---|
{rows}

Tutorial a: `You are Yoda. Speak like Yoda.`; b adds `Use more wisdom and philosophical depth.`;
c is `You are Yoda. Speak like Yoda. Use more wisdom, philosophical depth, and reference the Force
more often.`

## Limits

- It answers the questions of its world in the wordings of its world. Others get a fluent, wrong
  answer.
- Its commonest mistake, under every prompt, is a yes or no that its own sentence contradicts: "No,
  Egypt is in Africa."
- Two wishes that it never saw together mostly work. Of the exam's 18 pairs, asked 20 times each,
  one never did (lower case with a phrase at the end), four did 12 to 15 times (be brief with a
  mention or a format, a mention with a format, a phrase at the start with a refusal), and 13 at
  least 17 times.
- A function of words shown by example is often not carried over to an input that it never saw
  there.
- It adds and subtracts up to ten and multiplies up to six; beyond that it says something wrong.
- Formats are brackets, quotes, stars, a dash, an arrow and a label, voices the list above. Another
  format is ignored; another voice changes what it says it is, or brings one of its own.
- Strings to copy come out right when they look like words; unusual spellings may be garbled.
- English only; no knowledge to rely on; not for use with people who need an answer.
"""


def write_card(folder: Path, scores: Sequence[Score], work: Path | None) -> None:
    """Write README.md; without a work folder the training section of the card there is kept."""
    from transformers import AutoConfig, AutoModelForCausalLM

    path = folder / "README.md"
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    missed = [score for score in scores if score.aim.endswith("missed")]
    path.write_text(
        _CARD.format(
            params=sum(p.numel() for p in model.parameters()) / 1e6,
            voices=len(STYLES),
            voice_names=fill(", ".join(STYLES), 88, subsequent_indent="  "),
            vocab=config.vocab_size,
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            head_dim=config.head_dim,
            ff=config.intermediate_size,
            positions=config.max_position_embeddings,
            weights_mb=(folder / "model.safetensors").stat().st_size / 1e6,
            tokenizer_kb=(folder / "tokenizer.json").stat().st_size / 1e3,
            questions=len(all_questions()),
            kept=100 * sum(map(is_for_exam, all_questions())) / len(all_questions()),
            pairs=len(combinations_held_out()),
            outside=len(outside.NAMES) + len(outside.PHRASES),
            training=_training(work) if work else _kept(path),
            missed=f"{len(missed)} aims are missed." if missed else "No aim is missed.",
            rows="\n".join(map(_row, scores)),
        ),
        encoding="utf-8",
    )


def _row(score: Score) -> str:
    low, high = score.interval
    return (
        f"| {score.name} | {100 * score.share:.1f} % | {100 * low:.1f} to {100 * high:.1f} "
        f"| {score.num} | {score.aim} |"
    )


def _training(work: Path) -> str:
    """Tell how long the model was trained, and how the loss fell."""
    lines = (work / "log.jsonl").read_text("utf-8").splitlines()
    # Steps after the last checkpoint of a killed sitting were done again.
    of_step = {row["step"]: row for row in map(json.loads, lines)}
    rows = [of_step[step] for step in sorted(of_step)]
    last = rows[-1]
    even = [last["step"] * part / 12 for part in range(13)]
    shown = [min(rows, key=lambda row: abs(row["step"] - step)) for step in even]
    told = [
        f"{last['step']:,} steps, {last['tokens'] / 1e6:.1f} million tokens (padding included), "
        f"{last['minutes']:.0f} minutes on two",
        "CPU cores that also did other work. The schedule is in steps, and what a step reads",
        "follows from the seed, so an interrupted run ends like a whole one:",
        "",
        "    python tools/train_tiny.py",
        "",
        "| step | million tokens | minutes | loss of the answers, nats per token | rate |",
        "|---|---|---|---|---|",
        *(
            f"| {row['step']:,} | {row['tokens'] / 1e6:.1f} | {row['minutes']:.0f} "
            f"| {row['loss']:.3f} | {row['rate']:.2f} |"
            for row in shown
        ),
    ]
    return "\n".join(told)


def _kept(path: Path) -> str:
    """Return the training section of the card that is there."""
    if not path.exists():
        return "Not recorded."
    _, _, rest = path.read_text(encoding="utf-8").partition("## Training\n")
    return rest.partition("\n## ")[0].strip() or "Not recorded."
