"""Writes requirements.lock: every package of the development environment, by version and hash.

    python tools/lock.py       # what `make lock` runs

Versions are those of constraints.txt; what that leaves open is resolved anew. Torch may be a file
of the index, or a smaller one that pip finds in a folder of this machine (`find-links`): the lock
takes both. pip would prefer the index's, whose hash it is told before it has the file, so the local
one stands in requirements-cpu.lock, too, and is installed first where there is one. What only the
index's needs on Linux (CUDA) stands in requirements-cuda.lock.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK, CPU, CUDA = (ROOT / f"requirements{of}.lock" for of in ("", "-cpu", "-cuda"))
OF_CUDA = re.compile(r"(nvidia|cuda|triton)\b")
EDITABLE = "editables>=0.5"
"""What hatchling needs besides to install this folder as it lies."""

HEAD = """\
# Written by `make lock` from pyproject.toml and constraints.txt: not by hand.
"""


def main() -> None:
    """Resolve, add the local files of torch, and write both locks."""
    entries = entries_of(resolved())
    torch = next(name for name in entries if name.startswith("torch=="))
    version = torch.split(" ")[0].partition("==")[2]
    local = found_local(version) or known_local(version)
    if not local:
        print(f"note: no folder of pip's find-links has a local file of torch {version}")
    entries[torch] = sorted({*entries[torch], *(h for hashes in local.values() for h in hashes)})
    of_cuda = {name: hashes for name, hashes in entries.items() if OF_CUDA.match(name)}
    others = {name: hashes for name, hashes in entries.items() if name not in of_cuda}
    LOCK.write_text(HEAD + written(others), encoding="utf-8")
    CPU.write_text(
        f"{HEAD}# A file of torch that is on no index: installed where pip finds it in a folder.\n"
        + written(local),
        encoding="utf-8",
    )
    CUDA.write_text(
        f"{HEAD}# What torch {version} of the index needs on Linux; a CPU file of it needs none.\n"
        + written(of_cuda),
        encoding="utf-8",
    )
    print(f"{LOCK.name}: {len(others)} packages, {CUDA.name}: {len(of_cuda)}")


def resolved() -> str:
    """Return what uv resolves for all platforms, with the hashes of all files of the index."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    builds = "\n".join([*project["build-system"]["requires"], EDITABLE])
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet"),
            *("--universal", "--python-version", "3.11", "--generate-hashes"),
            *("--no-header", "--no-annotate", "--constraint", "constraints.txt"),
            *("--extra", "dev", "pyproject.toml", "-"),
        ],
        cwd=ROOT,
        env=_environment(),
        input=builds,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"uv cannot resolve the packages: {done.stderr}")
    return done.stdout


def _environment() -> dict[str, str]:
    """Return this environment, with the certificates that pip is told to trust."""
    found = dict(os.environ)
    if "PIP_CERT" in found:
        found.setdefault("SSL_CERT_FILE", found["PIP_CERT"])
    return found


def entries_of(text: str) -> dict[str, list[str]]:
    """Return the hashes of each `name==version ; marker`; browsers are left out."""
    found: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=\S)", text.strip()):
        name, *hashes = [line.strip().removesuffix("\\").strip() for line in block.splitlines()]
        if not name.endswith("sys_platform == 'emscripten'"):
            found[name] = [line.removeprefix("--hash=") for line in hashes if line]
    return found


def written(entries: dict[str, list[str]]) -> str:
    """Return entries as pip reads them."""
    return "".join(
        " \\\n    ".join([name, *(f"--hash={digest}" for digest in hashes)]) + "\n"
        for name, hashes in entries.items()
    )


def known_local(version: str) -> dict[str, list[str]]:
    """Return the local files of this torch that are locked already."""
    if not CPU.is_file():
        return {}
    lines = CPU.read_text(encoding="utf-8").splitlines(keepends=True)
    known = entries_of("".join(line for line in lines if not line.startswith("#")))
    return {name: found for name, found in known.items() if name.startswith(f"torch=={version}+")}


def found_local(version: str) -> dict[str, list[str]]:
    """Return the local files of this torch in pip's find-links, and their hashes."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    folders = {folder for line in re.findall(r"find-links='(.*)'", told) for folder in line.split()}
    found: dict[str, list[str]] = {}
    for file in sorted(f for at in folders for f in Path(at).glob(f"torch-{version}+*.whl")):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        found.setdefault(f"torch=={file.name.split('-')[1]}", []).append(f"sha256:{digest}")
    return found


if __name__ == "__main__":
    main()
