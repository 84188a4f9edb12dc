"""One of the processes of a bake: `python -m bakery.cli.rank <folder> <id>`.

torchrun starts it, in the process with that id."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from bakery.app import spread
from bakery.torchrun.watching import die_with_parent, end_with


def main() -> None:
    """Take part in a bake, and end with torchrun."""
    folder, parent = sys.argv[1:]
    end_with(int(parent))
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is torchrun that ends them
    sys.exit(spread.take_part(Path(folder)))


if __name__ == "__main__":
    main()
