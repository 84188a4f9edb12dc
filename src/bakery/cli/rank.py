"""One of the processes of a bake: `python -m bakery.cli.rank <folder>`, as torchrun starts it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from bakery.app import spread
from bakery.torchrun.watching import end_with


def main() -> None:
    """Take part in a bake, and end with torchrun."""
    end_with(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is torchrun that ends them
    sys.exit(spread.take_part(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
