"""The output_dir of the `bakery` command: what lies in it, and who may write there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bakery.errors import ConfigError, StageError
from bakery.records import Message

RESULTS, CONFIG, FINAL = "results.json", "config.yaml", "final_model"
QUESTIONS = "questions.jsonl"


@dataclass(frozen=True, slots=True)
class RecordedQuestion:
    """What rows asked behind a prompt, as it is kept for evaluations."""

    target: str
    messages: tuple[Message, ...]
    is_held_out: bool


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Keep every other run out of the folder."""
    from filelock import FileLock, Timeout  # here: whoever only reads starts sooner without it

    lock = FileLock(out / ".lock", timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise StageError(
            f"another run is writing into {out}",
            hint="Wait for it, or choose another output_dir.",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"output_dir {out} cannot be used: {error}", hint="Choose another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()
