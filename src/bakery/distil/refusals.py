"""What the training libraries refuse, and a full disk, as errors that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from bakery.errors import ConfigError, StageError


@contextmanager
def told() -> Iterator[None]:
    """Say what a library refuses, or what file cannot be written, in a sentence."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise _of_a_file(error) from error
    except (ImportError, ValueError, KeyError, TypeError) as error:
        if not _is_of_a_library(error):
            raise
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f"the training libraries refuse these settings: {said[0]}",
            hint="\n".join(said[1:3]) or "Check the settings that this names.",
        ) from error


def _of_a_file(error: OSError | SafetensorError) -> StageError:
    """Return what to say of a file that cannot be read or written."""
    if isinstance(error, SafetensorError) and "I/O error" not in str(error):
        return StageError(
            f"a weights file is damaged: {error}",
            hint="If it is a checkpoint's, delete that checkpoint-N folder: "
            "resume_from_checkpoint: true goes on from the one before.",
        )
    return StageError(
        f"a file cannot be written or read: {error}",
        hint="Is the disk full? Nothing complete is lost: resume_from_checkpoint: true "
        "goes on from the last whole checkpoint.",
    )


def _is_of_a_library(error: BaseException) -> bool:
    """Tell whether an error was raised inside transformers and its kin, and not in our code."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    module = frame.tb_frame.f_globals.get("__name__", "") if frame else ""
    return module.partition(".")[0] in ("transformers", "accelerate", "torch", "peft")
