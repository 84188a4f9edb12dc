"""Tries a grammar in a process that can be killed: a few words may take minutes, or all memory.

    python -I -S trial.py CPU_SECONDS FOLDER    # a grammar on stdin; why it is none on stdout

It is run as a file, and imports nothing but what compiles grammars, from its folder.
"""

from __future__ import annotations

import contextlib
import json
import sys

MOST_BYTES = 1 << 30
"""Of memory, where the system keeps to such a limit."""


def main() -> None:
    """Compile the grammar that is given, within limits, for a model whose tokens are bytes."""
    _bound(int(sys.argv[1]))
    sys.path.append(sys.argv[2])
    from llguidance import LLMatcher, LLParserLimits, LLTokenizer

    given = json.load(sys.stdin)
    limits = LLParserLimits(**given["limits"])
    found = LLMatcher(LLTokenizer("byte"), given["grammar"], log_level=0, limits=limits)
    if not found.is_error():
        found.compute_bitmask()  # what no answer can begin is noticed here
    sys.stdout.write(found.get_error())


def _bound(seconds: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))


if __name__ == "__main__":
    main()
