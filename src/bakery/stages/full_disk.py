"""A disk that is full in the middle of a stage: one clear error, and how to go on."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from bakery.errors import StageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_SAID = re.compile(
    "|".join([*(f"os error {number}\\b" for number in FULL), *map(os.strerror, FULL)])
)
_TORCH = re.compile(r"PytorchStreamWriter failed|inline_container\.cc")
"""What torch says where a file of its own could not be written; it gives no reason."""


@contextmanager
def told(going_on: str) -> Iterator[None]:
    """Turn what a full disk raises into a StageError whose hint ends with how to go on.

    A decorator, too.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not is_full(error):
            raise
        where = getattr(error, "filename", None)
        raise StageError(
            f"the disk is full, or its quota is used up{f': {where}' if where else ''}",
            hint=f"Make room, then run the same command again. {going_on}",
        ) from error


def is_full(error: BaseException) -> bool:
    """Tell whether an error says that nothing more can be written."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    text = str(error)
    return bool(_SAID.search(text)) or (
        isinstance(error, RuntimeError) and bool(_TORCH.search(text))
    )
