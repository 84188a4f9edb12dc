"""Writes requirements.lock: every package of the development environment, by version and hash.

    python tools/lock.py       # what `make lock` runs

Versions are those of constraints.txt; what that leaves open is resolved anew. Torch may be a file
of the index, or a smaller one that pip finds in a folder of this machine (`find-links`): both are
taken. What only the index's needs on Linux (CUDA) stands in requirements-cuda.lock.
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
LOCK, CUDA = ROOT / "requirements.lock", ROOT / "requirements-cuda.lock"
OF_CUDA = re.compile(r"(nvidia|cuda|triton)\b")
LOCAL = "# also "
"""What a line begins with that names a file of torch which is on no index, and its hash."""

HEAD = """\
# Written by `make lock` from pyproject.toml and constraints.txt: not by hand.
"""


def main() -> None:
    """Resolve, add the local files of torch, and write both locks."""
    entries = entries_of(resolved())
    torch = next(name for name in entries if name.startswith("torch=="))
    version = torch.split(" ")[0].partition("==")[2]
    local = known_local(version) | found_local(version)
    if not local:
        print(f"note: no folder of pip's find-links has a local file of torch {version}")
    entries[torch] = sorted({*entries[torch], *local.values()})
    notes = "".join(f"{LOCAL}{name} {digest}\n" for name, digest in sorted(local.items()))
    of_cuda = {name: hashes for name, hashes in entries.items() if OF_CUDA.match(name)}
    others = {name: hashes for name, hashes in entries.items() if name not in of_cuda}
    LOCK.write_text(HEAD + notes + written(others), encoding="utf-8")
    CUDA.write_text(
        f"{HEAD}# What torch {version} of the index needs on Linux; a CPU file of it needs none.\n"
        + written(of_cuda),
        encoding="utf-8",
    )
    print(f"{LOCK.name}: {len(others)} packages, {CUDA.name}: {len(of_cuda)}")


def resolved() -> str:
    """Return what uv resolves for all platforms, with the hashes of all files of the index."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    builds = "\n".join(project["build-system"]["requires"])
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
    """Return the hashes of each `name==version ; marker`; what no machine of ours is, is left out."""
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


def known_local(version: str) -> dict[str, str]:
    """Return the local files of this torch that the lock names already."""
    if not LOCK.is_file():
        return {}
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    pairs = [line.removeprefix(LOCAL).split() for line in lines if line.startswith(LOCAL)]
    return {name: digest for name, digest in pairs if name.startswith(f"torch-{version}+")}


def found_local(version: str) -> dict[str, str]:
    """Return the local files of this torch in pip's find-links, and their hashes."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    folders = {folder for line in re.findall(r"find-links='(.*)'", told) for folder in line.split()}
    files = [f for folder in folders for f in Path(folder).glob(f"torch-{version}+*.whl")]
    return {f.name: f"sha256:{hashlib.sha256(f.read_bytes()).hexdigest()}" for f in files}


if __name__ == "__main__":
    main()
