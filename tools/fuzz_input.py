"""Mutates valid input.yml files, and looks for one that is answered by anything but a sentence.

    python tools/fuzz_input.py 10000 [--seed S]

Each mutation must load and resolve, or raise a BakeryError that says something, with the line of
whatever is wrong in the file, in a few seconds. What is accepted must be empty after its bake.
"""

from __future__ import annotations

import argparse
import copy
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from bakery import schema
from bakery.errors import BakeryError, ConfigError
from bakery.identity import BaseModelId
from bakery.repo.files.emptied import emptied
from bakery.repo.plan.planned import Head
from bakery.repo.plan.resolve import resolve
from bakery.yaml import text as yaml_text

LIMIT_S = 5

HEAD = Head("ada", "yoda", BaseModelId("tiny-1", "", "ab" * 32))

RECIPES = Path(__file__).parents[1] / "recipes" / "sequential"

RICH = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "You are Yoda."
      - role: user
        content: [{type: text, text: "How is the weather?"}]
      - role: assistant
        content: null
        tool_calls:
          - id: c1
            type: function
            function: {name: weather, arguments: {place: "Ede, ünïcode"}}
      - {role: tool, tool_call_id: c1, content: Sunny.}
    tools:
      - type: function
        function:
          name: weather
          description: |
            Says what the weather is,
            at a place.
          parameters:
            type: object
            properties: {place: {type: string}}
            required: [place]
  student: &student
    messages: []
  other:
    <<: *student
    messages:
      - role: system
        content: >-
          Folded
          text.
TARGET:
  - name: main
    generators:
      - type: oneshot_qs
        numq: 120
        temperature: 0.6
        template_path: templates/one.txt
      - type: hardcoded
        questions: ["Who?", 'It''s why?', plain]
      - {type: persona, numq: 3, seed: 7}
      - {type: from_dataset, dataset: squad, numq: 28, seed: 42}
    model_name: base
    max_tokens: 200
    temperature: 0.7
    num_traj_per_stimulus: 5
    extra_kwargs: {top_p: 0.95}
  - name: anchor
    template: main
    teacher_prompt: other
    student_prompt: other
BAKE:
  name: yoda
  datasets:
    - {target: main, weight: 0.8}
    - {target: anchor, weight: 2e-1}
  epochs: 2
  micro_batch_size: 2
  gradient_accumulation_steps: 8
  total_trajectories: 100
  seed: 42
  model:
    baked_adapter_config: {r: 32, lora_alpha: 16, target_modules: all-linear}
    dtype: bf16
  optimizer: {learning_rate: 1e-4, betas: [0.9, 0.999]}
  scheduler: {type: huggingface}
  deepspeed: {zero_optimization: {stage: 3}}
  checkpoint:
    - {type: huggingface, save_every_n_steps: 10}
  data: {max_length: 3000, train_eval_split: [0.9, 0.1]}
  wandb: {enable: false}
  on_policy: true
"""

TEMPLATE = b"Write ${numq} questions about:\n${prompt_u}\n"

WORDS = [
    "PROMPT", "TARGET", "BAKE", "teacher", "student", "messages", "role", "system", "content",
    "tools", "generators", "type", "hardcoded", "numq", "template", "datasets", "target", "weight",
    "name", "epochs", "model", "null", "true", "~", "[]", "{}", "''", "-", "---", "...", "<<: *x",
    "&x", "*x", "*student", "!!python/object:os.system", "!!binary aGk=", "!foo", "|", ">", "?",
    ": ", "#", "%YAML 9.9", "0", "-1", "1.5", "1e999", ".nan", "-.inf", "9" * 30, "9" * 5000,
    "0x" + "f" * 4000, "2026-99-99", "12:30:61", "[" * 200, "{a: " * 100, "- " * 90, "\t",
    "\x00", "\x07", "\ufeff", "\ud7ff", "\u2028", "\x85", "é", "日本", "🙂", "\r", "a" * 3000,
    "sk-" + "a" * 30, "@", "`", "\\", '"\\x"', '"\\ud800"', "${numq}", "../x", "/etc/passwd",
]  # fmt: skip


def main() -> None:
    """Run as many mutations as asked for, and say what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    slowest, failures = 0.0, []
    for number in range(given.seed, given.seed + given.count):
        started = time.monotonic()
        outcome = tried(number)
        slowest = max(slowest, time.monotonic() - started)
        counts[outcome.partition(":")[0]] += 1
        if outcome.startswith("FAILED"):
            failures.append(f"{number}: {outcome}")
    sys.stdout.write(f"{dict(counts)}, slowest {slowest:.2f} s\n")
    for line in failures[:20]:
        sys.stdout.write(f"{line}\n")
    sys.exit(bool(failures))


def tried(number: int) -> str:
    """Return what came of one mutation: `accepted`, `refused`, or `FAILED: why`."""
    text = mutated(random.Random(number))
    try:
        with _alarm():
            spec = schema.load(text, read=_read)
            resolve(spec, HEAD)
            after = schema.load(emptied(text), read=_read)
    except BakeryError as error:
        if not error.message.strip():
            return "FAILED: nothing is said"
        if isinstance(error, ConfigError) and not re.search(r"\.yml:\d+:\d+: ", error.message):
            return f"FAILED: no line in {error.message!r:.200}"
        return "refused"
    except TimeoutError:
        return f"FAILED: takes more than {LIMIT_S} s"
    except Exception as error:  # any other is what is looked for
        return f"FAILED: {type(error).__name__}: {error!s:.200}"
    return "accepted" if after.is_empty else "FAILED: it configures something after its bake"


def mutated(rng: random.Random) -> str:
    """Return a valid file after one to four mutations."""
    texts = [RICH, *_recipes()]
    text = rng.choice(texts)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        text = rng.choice(MUTATIONS)(text, rng)
    return text


def _recipes() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(RECIPES.glob("*/input.yml"))]


def _flip_byte(text: str, rng: random.Random) -> str:
    raw = bytearray(text.encode())
    for _ in range(rng.randint(1, 4)):
        if raw:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return raw.decode("utf-8", "replace")


def _drop_line(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    return "\n".join(lines[:at] + lines[at + rng.randint(1, 3) :])


def _repeat_line(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    return "\n".join([*lines[:to], *lines[at : at + rng.randint(1, 5)], *lines[to:]])


def _swap_tokens(text: str, rng: random.Random) -> str:
    tokens = re.split(r"(\W+)", text)
    a, b = rng.randrange(len(tokens)), rng.randrange(len(tokens))
    tokens[a], tokens[b] = tokens[b], tokens[a]
    return "".join(tokens)


def _swap_value(text: str, rng: random.Random) -> str:
    """Put another kind of value behind a key."""
    lines = text.split("\n")
    keyed = [i for i, line in enumerate(lines) if ": " in line] or [0]
    at = rng.choice(keyed)
    lines[at] = f"{lines[at].split(': ')[0]}: {rng.choice(WORDS)}"
    return "\n".join(lines)


def _indent(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    lines[at] = rng.choice([" ", "  ", "\t", "    "]) * rng.randint(0, 4) + lines[at].lstrip()
    return "\n".join(lines)


def _put_word(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(WORDS) + text[at + rng.choice((0, 0, 1, 5)) :]


def _cut(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text) + 1)]


def _splice(text: str, rng: random.Random) -> str:
    other = rng.choice([RICH, *_recipes()])
    at, to = rng.randrange(len(text) + 1), rng.randrange(len(other))
    return text[:at] + other[to:]


def _nest(text: str, rng: random.Random) -> str:
    """Repeat by aliases, or nest."""
    levels = rng.randint(2, 40)
    laughs = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, levels))
    deep = "".join(f"{' ' * i}a:\n" for i in range(levels * 4))
    loop = "a: &a [*a]\nb: &b {c: *b}\n"
    return text + rng.choice(["a0: &a0 x\n" + laughs, deep, loop, "[" * levels * 50])


def _reencode(text: str, rng: random.Random) -> str:
    coded = text.encode(rng.choice(["utf-16", "utf-16-le", "utf-8-sig", "utf-8"]))
    return coded.decode(rng.choice(["utf-8", "latin-1", "cp1252"]), "replace")


VALUES = [
    None, True, False, 0, -1, 1, 2, 7, 10**6, 10**30, 0.5, -0.5, 1e-300, 1e300, float("inf"),
    float("nan"), "", "x", "base", "tiny-1", "default", "main", "a/b", "a/b/c_0123456789abcdef/3",
    "x_0123456789abcdef", "hosted:x", "~/x", "/x", "..", "no such.csv", "rows.csv", "é🙂", "a\nb",
    [], [[]], [None], ["x"], [0.5, 0.5], [1, 2, 3], {}, {"x": None}, {"type": "hardcoded"},
    {"name": "f"}, {"role": "user", "content": "x"}, {"target": "main"}, {"r": 0},
]  # fmt: skip


def _swap_node(text: str, rng: random.Random) -> str:
    """Put any value in the place of any other, in a file that stays YAML."""
    try:
        document = yaml_text.plain(yaml_text.parse(text, "input.yml"))
    except BakeryError:
        return text
    nodes: list[tuple[Any, Any]] = []

    def gather(node: Any) -> None:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            nodes.append((node, key))
            if isinstance(node[key], dict | list):
                gather(node[key])

    if isinstance(document, dict | list):
        gather(document)
    for node, key in rng.sample(nodes, min(len(nodes), rng.randint(1, 3))):
        way = rng.randrange(4)
        if way == 0 and isinstance(node, dict):
            node[rng.choice(WORDS[:18])] = node.pop(key, None)
        elif way == 1 and nodes:
            other, at = rng.choice(nodes)
            if isinstance(other, list) or at in other:
                node[key] = copy.deepcopy(other[at])
        else:
            node[key] = rng.choice(VALUES)
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False)


MUTATIONS: list[Callable[[str, random.Random], str]] = [
    _flip_byte, _drop_line, _repeat_line, _swap_tokens, _swap_value, _swap_value, _indent,
    _put_word, _put_word, _cut, _splice, _nest, _reencode, *[_swap_node] * 8,
]  # fmt: skip


def _read(path: str) -> bytes:
    if not path.startswith("templates/"):
        raise FileNotFoundError(path)
    return TEMPLATE


@contextmanager
def _alarm() -> Iterator[None]:
    """Raise TimeoutError after the limit, where the system can."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def ring(_: int, __: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    main()
