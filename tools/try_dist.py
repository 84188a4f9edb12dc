"""The packages of `dist/` in a clean environment: installed, asked, and put through the demo.

    python tools/try_dist.py [--quick]      # what `make dist` ends with

Run outside the checkout, so that nothing of it is imported. `--quick` leaves the demo out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
NEEDED = (
    "bakery/py.typed", "bakery/generators/persona.txt", "bakery/tiny/model.safetensors",
    "bakery/tiny/tokenizer.json", "bakery/tiny/chat_template.jinja",
)  # fmt: skip
"""What a wheel has besides modules, and nothing works without."""


def main() -> None:
    """Check what is in the packages, install the wheel, and use it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="do not run the demo")
    quick = parser.parse_args().quick
    (wheel,) = DIST.glob("*.whl")
    (source,) = DIST.glob("*.tar.gz")
    if missing := [*lacking(wheel), *lacking_source(source)]:
        sys.exit(f"the packages lack {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="bakery-dist-") as scratch:
        place = Path(scratch)
        python = installed(wheel, place / "venv")
        told = run(place, python.with_name("bgit"), "--version").split()[1]
        print(f"{wheel.name} is installed: bgit {told}", flush=True)
        if told not in wheel.name:
            sys.exit(f"bgit says that it is {told}, which is not what {wheel.name} says")
        write_sbom(python, wheel)
        if not quick:
            shutil.copytree(ROOT / "recipes" / "sequential", place / "demo")
            run(place, python, place / "demo" / "run.py", place / "scratch", is_shown=True)
    print(f"{wheel.name} and {source.name} are ready")


def lacking(wheel: Path) -> list[str]:
    """Return what a wheel should have, and has not: every module, and the data."""
    modules = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    with zipfile.ZipFile(wheel) as opened:
        return sorted((modules | {*NEEDED}) - {*opened.namelist()})


def lacking_source(source: Path) -> list[str]:
    """Return what a source package should have, and has not: what git has of `src` and `tests`."""
    listed = subprocess.run(
        ["git", "ls-files", "src", "tests"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\n")
    with tarfile.open(source) as opened:
        there = {name.partition("/")[2] for name in opened.getnames()}
    return sorted(name for name in listed if name and name not in there and '"' not in name)


def installed(wheel: Path, place: Path) -> Path:
    """Install a wheel, with the versions that were tested, and return its interpreter."""
    print(f"installing {wheel.name} into a new environment: about 1 GB", flush=True)
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(place, python, *pip, "-c", ROOT / "constraints.txt", wheel)
    return python


def write_sbom(python: Path, wheel: Path) -> None:
    """Write what was installed with a wheel beside it, as CycloneDX, without times in it."""
    sbom = wheel.with_suffix(".cdx.json")
    tool = Path(sys.executable).with_name("cyclonedx-py")
    options = ("--output-reproducible", "--pyproject", ROOT / "pyproject.toml", "-o", sbom)
    run(ROOT, tool, "environment", *options, python)
    print(f"{sbom.name} names what is installed with it", flush=True)


def run(place: Path, *words: str | Path, is_shown: bool = False) -> str:
    """Run a command in a folder, with nothing of this checkout in its way; return what it said."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=place,
        env=clean,
        stdout=None if is_shown else subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{words[0]} ended with {done.returncode}")
    return done.stdout or ""


if __name__ == "__main__":
    main()
