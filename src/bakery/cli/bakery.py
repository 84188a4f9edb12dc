"""The door `bakery`: a flat YAML file and flags over it in, a baked adapter out.

`bakery eval` measures what it baked.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from bakery.cli import rim
from bakery.errors import BakeryError

STOPPED = (
    "with `--resume_from_checkpoint true` the same command goes on from the last checkpoint, "
    "if save_strategy made one"
)

FIRST_SAYS_IT_S = 10.0
"""How long the first process may take to come to an error that all of them come to."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command line, and end the process with its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "RANK" in os.environ:  # torch would warn of what costs a small adapter nothing
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    rim.end(lambda: _run(words), stopped=STOPPED)


def _run(words: Sequence[str]) -> int:
    if "--version" in words:
        import bakery

        print(f"bakery {bakery.__version__}")
        return 0
    if words and words[0] == "eval":
        from bakery.cli import bakery_eval

        return int(bakery_eval.evaluate.main(words[1:], "bakery eval", standalone_mode=False) or 0)
    if not words or {"-h", "--help"} & set(words):
        from bakery.distil.settings.help_text import help_text

        print(help_text(), file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    if not _is_first():
        return _beside(words)
    return _bake(words)


def _bake(words: Sequence[str]) -> int:
    from bakery.distil import run
    from bakery.distil.material import gather
    from bakery.distil.settings import parse as settings
    from bakery.ui import baking
    from bakery.ui.progress import reporter

    told = settings.parse(words)
    with reporter() as shown:
        for note in told.notes:
            shown.note(note)
        if told.dry_run:
            from bakery.distil import preview
            from bakery.ui import views

            views.show(preview.look(told, reporter=shown))
            return 0
        material = gather(told)
        baking.show_start(told.data.model_name_or_path, material)
        result = run.run(told, material, reporter=shown)
    baking.show_result(result, str(told.training.output_dir))
    return 0


def _beside(words: Sequence[str]) -> int:
    """Take part in the work of several processes, and leave the talking to the first.

    What all of them meet the first says: torchrun ends the others as soon as one has ended, so
    this one waits for that. What only this one has met is said here.
    """
    from bakery.distil import run
    from bakery.distil.material import gather
    from bakery.distil.settings import parse as settings
    from bakery.reporting import Quiet

    try:
        told = settings.parse(words)
        if not told.dry_run:
            run.run(told, gather(told), reporter=Quiet())
    except BakeryError as error:
        time.sleep(FIRST_SAYS_IT_S)
        error.message = f"process {os.environ['RANK']}: {error.message}"
        raise
    except KeyboardInterrupt:  # which reaches all of them
        return rim.INTERRUPTED
    return 0


def _is_first() -> bool:
    """Tell whether this process is the only one, or the first that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


if __name__ == "__main__":
    main()
