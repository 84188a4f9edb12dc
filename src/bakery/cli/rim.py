"""Where a command ends: its exit code, and what a person reads when it failed.

The only place that catches errors.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

from bakery import masking
from bakery.errors import BakeryError, RepoError
from bakery.spelling import nearest

INTERRUPTED = 130
"""What a shell expects of a program that was stopped with Ctrl-C."""


AGAIN_S = 0.02
"""Seconds until a Ctrl-C that was dropped is tried again."""


def end(work: Callable[[], int], *, stopped: str) -> NoReturn:
    """Do the work and end the process; `stopped` says how to go on after Ctrl-C."""
    _have_streams()
    _never_fail_to_print()
    _never_print_secrets()
    _never_lose_ctrl_c()
    try:
        _stand_somewhere()
        code = work()
    except BakeryError as error:
        code = _say(error.message, error.hint, error.exit_code)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "bgit"
        hint = f"{_meant(error)}`{path} --help` shows what it takes."
        code = _say(error.format_message(), hint, error.exit_code)
    except click.ClickException as error:
        code = _say(error.format_message(), None, error.exit_code)
    except BrokenPipeError:  # whoever read along has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        code = _say(*_refused(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"\nstopped; {stopped}", err=True)
        code = INTERRUPTED
    sys.exit(code)


def _meant(error: click.UsageError) -> str:
    """Return which of its choices a parameter's wrong value most likely means, as a question."""
    parameter = getattr(error, "param", None)
    choices = getattr(parameter.type, "choices", ()) if parameter is not None else ()
    wrong = re.match(r"'(.*?)' is not one of ", error.message)
    near = nearest(wrong[1], map(str, choices)) if wrong else []
    return f"did you mean `{near[0]}`? " if near else ""


def show_hint(text: str) -> None:
    """Say what to do next, on stderr."""
    click.secho("hint: ", fg="cyan", nl=False, err=True)
    click.echo(_harmless(text), err=True)


_PATHS = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EIO,
)
"""What a path can be that nothing can be read from or written to."""


_MORE_FILES = "`ulimit -n` says how many: `ulimit -n 1024`, then run the same command again."


def _stand_somewhere() -> None:
    """Refuse to begin in a folder that somebody deleted: nothing works there."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise RepoError(
            "the folder that this was started in is gone",
            hint="`cd` to one that is there, and run the same command again.",
        ) from error


def _refused(error: OSError) -> tuple[str, str | None, int]:
    """Return what to say where the system will not write; any other error is raised on."""
    reason = os.strerror(error.errno) if error.errno else ""
    where = f": {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        again = "Make room, then run the same command again: what was complete before is kept."
        return f"the disk is full, or its quota is used up{where} ({reason})", again, 1
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{reason}{where}", "Who owns the file, and may you write to it?", 1
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"this process may open no more files{where} ({reason})", _MORE_FILES, 3
    if error.errno in (errno.ENOMEM, errno.EAGAIN):
        return f"the system has no room for another process{where} ({reason})", None, 3
    if error.errno in _PATHS and error.filename:
        shown = str(error.filename)
        at = shown if len(shown) <= 300 else f"{shown[:300]}…"
        return f"{reason}: {at}", "Is that the path you meant?", 1
    raise error


def _say(message: str, hint: str | None, code: int) -> int:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(_harmless(message), err=True)
    if hint:
        show_hint(hint)
    return code


def _harmless(text: str) -> str:
    from bakery.ui.harmless import harmless  # here: what ends well need not wait for it

    return harmless(text)


def _have_streams() -> None:
    """Open what the caller has closed (`>&-`): a file of ours would take its place, and its text.

    Nothing is read from it, and what is written is gone, as was asked for.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDWR)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r"))  # noqa: SIM115, PTH123


def _never_lose_ctrl_c() -> None:
    """Press Ctrl-C again where Python drops it: what a destructor raises ends nothing."""
    usual = sys.unraisablehook

    def again(dropped: sys.UnraisableHookArgs) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            usual(dropped)
            return
        # Not at once: raised in here it would be dropped, too.
        timer = threading.Timer(AGAIN_S, _interrupt)
        timer.daemon = True
        timer.start()

    sys.unraisablehook = again


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _never_fail_to_print() -> None:
    """Show a sign that the terminal's encoding lacks as `?`: better than ending there."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # not every stream


def _never_print_secrets() -> None:
    """Mask what is secret in whatever is printed: answers, logs, and tracebacks."""
    if not masking.any_known():
        return
    for stream in (sys.stdout, sys.stderr):
        usual = stream.write
        with contextlib.suppress(AttributeError):  # not every stream takes it
            stream.write = _masked_into(usual)  # type: ignore[method-assign]


def _masked_into(write: Callable[[str], int]) -> Callable[[str], int]:
    def masked(text: str) -> int:
        write(masking.masked(text))
        return len(text)

    return masked
