"""What stages take in time and memory, worked out from the shape of a model: no tensor is made.

Rules of thumb, fitted to runs of the embedded model and of SmolLM2-135M on a CPU (docs/log.md);
they are meant to be right within a factor of 1.5 there. Sizes in bytes, times in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LIBRARIES, TRAINER = 430_000_000, 130_000_000
"""Memory of Python with torch and transformers, and what their trainer needs beside."""

LOAD_S, LOADED, UNPACKED_S = 6.0, 5e8, 1.2e-7
"""Seconds until the libraries are there, bytes of weights read in a second, and seconds for each
weight of a GGUF file that is unpacked first."""

FIRST_SAMPLE_S, FIRST_STEP_S, TRIALS = 2.0, 5.0, 6
"""Before the first token and before the first step: ways to run a model are tried out. A batch is
trained on so many times for that."""

TOKEN_S, ANSWER_S, STEP_S, READ = 1.3e-3, 5e-3, 4e-3, 1e10
"""Seconds that each layer takes at least for a token of every row, an answer for all that is done
with text, and a layer at least for a batch that is learnt; weights read in a second."""

ROWS, FIRST_ROOM, DRAWN = 128, 64, 1 << 23
"""Answers sampled at once, the tokens each of them has room for at first, and probabilities that
are drawn from at once (each takes 24 bytes)."""

LIST_TOKENS = 300
"""Tokens of a list of questions, which a model that writes is tried with."""

LOOKED_AT = 256
"""Answers that were learnt, on which a bake is measured, too, at most."""

ASKED, OF_RULES, ASKED_TOKENS, MORE_OFTEN = 92, 12, 48, 4 / 3
"""Of a round of `epochs: auto`: questions asked before it at most, those of them that nobody wrote,
tokens of each answer at most, and the length of its epoch, a quarter of which is what failed."""

OF_ADAM = 16
"""Bytes that a trained weight takes: itself, its gradient and two moments, each in fp32."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the costs of a model go by."""

    parameters: int
    layers: int
    hidden: int
    wide: int
    """Of the layers' inner part."""
    vocabulary: int
    keys: int
    """Numbers that keys and values of a token have in all layers."""
    itemsize: int
    """Bytes of a weight in memory."""
    is_packed: bool = False
    """Whether the weights have to be unpacked from a GGUF file first."""

    @property
    def weights(self) -> int:
        """All weights."""
        return self.parameters * self.itemsize

    @property
    def token_bytes(self) -> int:
        """What the way back keeps of a token that is learnt."""
        return self.layers * (12 * self.hidden + 4 * self.wide) * self.itemsize

    def trainable(self, rank: int) -> int:
        """Return the weights of an adapter on all projections."""
        keys = self.keys // (2 * self.layers)
        return rank * self.layers * (2 * (3 * self.hidden + keys) + 3 * (self.hidden + self.wide))

    def state_bytes(self, *, rank: int) -> int:
        """Return what the process that trains holds between two steps."""
        return LIBRARIES + TRAINER + self.weights + OF_ADAM * self.trainable(rank)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a stage takes."""

    seconds: float
    memory: int


@dataclass(frozen=True, slots=True)
class Answers:
    """What is sampled. Tokens are those of one answer, question or prompt."""

    count: int
    tokens: float
    most_tokens: int
    question: float
    prompt: float = 0.0
    cut_at: int | None = None
    """Where all but those looked at are cut, as these will show. None: at `most_tokens`."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """What is learnt, and measured before and after."""

    learnt: int
    held_out: int
    tokens: float
    """Of an answer with its question."""
    prompt: float
    """Of the teacher."""
    most_tokens: int
    epochs: int
    batch: int
    micro_batch: int
    rank: int
    fitted_tokens: int = 0
    """Tokens that first weights are fitted on at most; 0: they are drawn."""


def loading(shape: Shape) -> float:
    """Return the seconds until a model can be used."""
    unpacking = UNPACKED_S * shape.parameters if shape.is_packed else 0.0
    return LOAD_S + shape.weights / LOADED + unpacking


def sampling(shape: Shape, rate: float, asked: Answers, *, lists: int = 0) -> Estimate:
    """Return what answers take, at `rate` operations a second; `lists` are tried before."""
    rows = min(asked.count, ROWS)
    steps = math.ceil(asked.count / ROWS) * (asked.cut_at or asked.most_tokens)
    steps += lists * LIST_TOKENS + (asked.most_tokens if asked.cut_at else 0)
    step_s = shape.weights / READ + shape.layers * TOKEN_S
    tokens = asked.prompt + asked.count * (asked.question + asked.tokens)
    seconds = FIRST_SAMPLE_S + asked.count * ANSWER_S + steps * step_s
    held = rows * (asked.question + min(asked.most_tokens, FIRST_ROOM)) + asked.prompt
    drawn = 24 * min(rows * shape.vocabulary, DRAWN) + 8 * rows * shape.vocabulary
    memory = LIBRARIES + max(shape.weights, _unpacking(shape))
    memory += round(held * shape.keys * shape.itemsize) + drawn
    return Estimate(seconds + 2 * shape.parameters * tokens / rate, memory)


def training(shape: Shape, rate: float, pairs: Pairs) -> Estimate:
    """Return what a bake takes: teacher's record, first weights, steps, and measuring."""
    once = 2 * shape.parameters / rate
    known = (pairs.learnt + pairs.held_out) * pairs.tokens
    seconds = FIRST_STEP_S + once * (pairs.prompt + known)  # the teacher, once
    looked_at = 2 * pairs.held_out + min(pairs.learnt, LOOKED_AT)
    seconds += once * looked_at * pairs.tokens  # the student, before and after
    batches = pairs.epochs * math.ceil(pairs.learnt / pairs.micro_batch)
    batch_s = 3 * once * pairs.tokens * pairs.micro_batch + shape.layers * STEP_S
    seconds += (batches + TRIALS) * batch_s
    fitted = min(pairs.fitted_tokens, 2 * known)
    widths = shape.hidden**2 + shape.wide**2
    seconds += once * fitted + shape.layers * widths * fitted / rate
    longest = pairs.most_tokens + (pairs.micro_batch - 1) * pairs.tokens
    drawn = 20 * min(int(longest), 256) * shape.vocabulary  # the loss goes piece by piece
    memory = shape.state_bytes(rank=pairs.rank) + round(longest * shape.token_bytes) + drawn
    return Estimate(seconds, max(memory, LIBRARIES + _unpacking(shape)))


def looking(shape: Shape, rate: float, pairs: Pairs, *, questions: int | None) -> float:
    """Return the seconds of a look of `epochs: auto`: questions are asked, pairs are scored."""
    count = ASKED if questions is None else min(ASKED, questions + OF_RULES)
    tokens = min(pairs.tokens, ASKED_TOKENS)
    asked = Answers(count, tokens, ASKED_TOKENS, pairs.tokens)
    scored = count + pairs.held_out + min(pairs.learnt, LOOKED_AT)
    once = 2 * shape.parameters / rate
    return sampling(shape, rate, asked).seconds + once * scored * pairs.tokens


def round_of(shape: Shape, rate: float, pairs: Pairs) -> float:
    """Return the seconds of the epoch of such a round."""
    learnt = math.ceil(MORE_OFTEN * pairs.learnt)
    batch_s = 6 * shape.parameters / rate * pairs.tokens * pairs.micro_batch + shape.layers * STEP_S
    return math.ceil(learnt / pairs.micro_batch) * batch_s


def fitting(shape: Shape, *, rank: int, tokens: int, budget: int, most: int) -> int:
    """Return how many answers can be learnt at once within a budget: `most`, or fewer.

    `tokens` are those of the longest. One is, whatever it takes.
    """
    room = budget - shape.state_bytes(rank=rank)
    return max(1, min(most, room // max(1, tokens * shape.token_bytes)))


def _unpacking(shape: Shape) -> int:
    """Return what unpacking takes: four bytes a weight, twice."""
    return 8 * shape.parameters if shape.is_packed else 0
