"""Where attacks take place: no settings of this machine, a small model, a baked repository."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

IDENTITY = "[user]\n    name = Ann Example\n    email = ann@example.org\n"

KEYS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")

QUESTIONS = 6

INPUT = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "{prompt}"
TARGET:
  name: main_target
  num_traj_per_stimulus: 2
  max_tokens: {tokens}
  generators:
    - type: hardcoded
      questions: [{questions}]
BAKE:
  name: {bake}
  epochs: {epochs}
  micro_batch_size: 8
  model:
    baked_adapter_config:
      r: 4
"""


@dataclass(frozen=True, slots=True)
class Material:
    """What attacks begin from; made once, and copied by whoever changes it."""

    base: Path
    """A small random model."""
    repository: Path
    """With two bakes, `second` on top of `first`, and its store."""
    export: Path
    """The folder of an adapter, as `bgit download` writes it: of `second`."""


def isolate(home: Path) -> None:
    """Let nothing of this machine's settings reach what is attacked, and nothing reach the hub."""
    for name in list(os.environ):
        if name.startswith(("GIT_", "BGIT_", "BAKERY_")) or name in KEYS:
            del os.environ[name]
    home.mkdir(parents=True, exist_ok=True)
    (home / ".gitconfig").write_text(IDENTITY, encoding="utf-8")
    os.environ.update(
        HOME=str(home), GIT_CONFIG_GLOBAL=str(home / ".gitconfig"), GIT_CONFIG_NOSYSTEM="1",
        HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
    )  # fmt: skip


def input_yml(
    prompt: str = "SHOUT!", bake: str = "first", *, questions: int = QUESTIONS, epochs: int = 1,
    tokens: int = 8,
) -> str:  # fmt: skip
    """Return a configuration that a small model bakes in a second."""
    asked = ", ".join(f'"q{number} what?"' for number in range(questions))
    return INPUT.format(prompt=prompt, bake=bake, questions=asked, epochs=epochs, tokens=tokens)


def git(root: Path, *words: str) -> str:
    """Run git, which has to succeed; return what it printed."""
    done = subprocess.run(
        ["git", *words], cwd=root, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise RuntimeError(f"git {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def commit(root: Path, text: str, subject: str = "Configure") -> None:
    """Write and commit a configuration."""
    (root / "input.yml").write_text(text, encoding="utf-8")
    git(root, "commit", "-q", "-m", subject, "--", "input.yml")


def material(folder: Path) -> Material:
    """Make the model and the repository, in a process of its own: torch's threads end with it."""
    found = Material(folder / "base", folder / "demo", folder / "export")
    process = multiprocessing.get_context("fork").Process(target=_make, args=(found,))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit("the material of the attack cannot be made: see above")
    return found


def _make(found: Material) -> None:
    from tests.support.models import make_model
    from tools.attack.trial import Typed, bgit

    def must(*words: str) -> Typed:
        done = bgit(*words)
        if done.code:
            raise SystemExit(f"bgit {' '.join(words)}: {done.said}\n{done.crash}")
        return done

    make_model(found.base)
    os.chdir(found.base.parent)
    must("init", found.repository.name, "--base-model", str(found.base), "--owner", "ann")
    os.chdir(found.repository)
    for prompt, bake in (("SHOUT!", "first"), ("Whisper, please.", "second")):
        commit(found.repository, input_yml(prompt, bake))
        must("run")
    must("download", "--out", str(found.export))


def copied(folder: Path, to: Path) -> Path:
    """Copy a folder with its store, as `cp -a` does; return the copy."""
    shutil.copytree(folder, to, symlinks=True)
    return to


class Restored:
    """A copy of a folder that an attack may change; `restore` puts back whatever it did."""

    def __init__(self, original: Path, to: Path) -> None:
        self.original, self.root = original, copied(original, to)
        self._known = _stamps(self.root)

    def restore(self) -> None:
        """Make the copy again what the original is."""
        now = _stamps(self.root)
        for path in now.keys() - self._known.keys():
            (self.root / path).unlink(missing_ok=True)
        for path, stamp in self._known.items():
            if now.get(path) != stamp:
                place = self.root / path
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                shutil.copy2(self.original / path, place, follow_symlinks=False)
                self._known[path] = _stamp(place)


def _stamps(root: Path) -> dict[str, tuple[int, int, int]]:
    return {
        str(path.relative_to(root)): _stamp(path)
        for path in root.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


def _stamp(path: Path) -> tuple[int, int, int]:
    about = path.lstat()
    return about.st_size, about.st_mtime_ns, about.st_ino
