"""What a person can act on: one family of errors, one exit code each.

Raised where the fact is known, caught only at the rim (`cli.app`), which prints
`error: …` and `hint: …`. Programming mistakes are not in here.
"""

from __future__ import annotations

from bakery.masking import masked


class BakeryError(Exception):
    """Something a person can fix: what is wrong, and in `hint` what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        message, hint = masked(message), masked(hint) if hint else hint
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:  # a traceback shows it, too
            self.add_note(f"hint: {hint}")


class ConfigError(BakeryError):
    """A file or flag that a person wrote says something that cannot be done."""

    exit_code = 2


class RepoError(BakeryError):
    """The repository, or git itself, is not in a state to go on from."""

    exit_code = 3


class StageError(BakeryError):
    """A stage lacks its input, or cannot finish its output."""

    exit_code = 4


class ModelError(BakeryError):
    """Weights, tokenizer or adapter are missing, changed, or not what was recorded."""

    exit_code = 5


class GateError(BakeryError):
    """A stage made what it was asked for, but it is too poor to go on with unasked."""

    exit_code = 6
