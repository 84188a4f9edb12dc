"""The commands that write, each with what it begins from and where it leaves its results."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bakery.identity import StimRequest, file_digest
from bakery.records import Prompt
from tools.attack.kills import processes
from tools.attack.workplace import Material, commit, git, input_yml
from tools.made_store import questions_into

OUT = "out"
"""What a command writes outside the store lies beside the repository, under this name."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One command. `prepare` makes `folder/demo` (and what lies beside it) from the material.

    `kills` is its share of a whole campaign; `again` is what is typed after a kill, where that is
    not the same command. `before` is typed in the place where everything happens and `then` when
    all has ended: nobody kills those. `asks`: there is a hosted model, `served`.
    """

    words: tuple[str, ...]
    prepare: Callable[[Material, Path], None]
    kills: int
    outputs: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    before: tuple[tuple[str, ...], ...] = ()
    then: tuple[tuple[str, ...], ...] = ()
    asks: bool = False


def _repository(found: Material, folder: Path) -> Path:
    root = folder / "demo"
    shutil.copytree(found.repository, root, symlinks=True)
    return root


def baked(found: Material, folder: Path) -> None:
    """Two bakes, and nothing to do."""
    _repository(found, folder)


def configured(found: Material, folder: Path) -> None:
    """A third bake is to be made."""
    commit(_repository(found, folder), input_yml("Sing it.", "third", questions=10, tokens=12))


def longer(found: Material, folder: Path) -> None:
    """A third bake that has some steps and checkpoints."""
    text = input_yml("Sing it.", "third", questions=24, epochs=6, tokens=12)
    kept = "  checkpoint: [{save_every_n_steps: 4}]\n"
    commit(_repository(found, folder), text + kept)


def reverted(found: Material, folder: Path) -> None:
    """The last bake is taken back and configured again: its weights are in the store."""
    root = _repository(found, folder)
    git(root, "revert", "--no-edit", "HEAD")


def unneeded(found: Material, folder: Path) -> None:
    """Questions that nothing needs lie beside two bakes, and a bake whose branch is gone."""
    root = _repository(found, folder)
    for number in range(3):
        asked = [f"q{number} why?"]
        request = StimRequest(Prompt(), ({"type": "hardcoded", "questions": asked},), {})
        questions_into(root / ".git/bakery/stim" / request.id, request, asked)
    git(root, "reset", "-q", "--hard", "HEAD~1")
    git(root, "reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    git(root, "update-ref", "-d", "ORIG_HEAD")


def branched(found: Material, folder: Path) -> None:
    """Another branch has a bake on top of the first one, and this one has another."""
    root = _repository(found, folder)
    git(root, "switch", "-q", "-c", "other", "HEAD~2")
    commit(root, input_yml("Sing it.", "third"))
    _typed(root, "run")
    git(root, "switch", "-q", "main")


def written_by_the_base(found: Material, folder: Path) -> None:
    """The base is said to have written the questions, in the place of who was asked for them."""
    root = _repository(found, folder)
    asked = "    - {type: oneshot_qs, model: served, numq: 3}\n"
    text = input_yml("Sing it.", "third", tokens=12)
    commit(root, re.sub(r"    - type: hardcoded\n.*\n", asked, text))
    _typed(root, "run", "stim")
    for path in root.glob(".git/bakery/stim/*/stimuli.jsonl"):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        own = [{**row, "writer": "base"} if row["writer"] else row for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in own), encoding="utf-8")
        done = path.with_name("done.json")
        said = json.loads(done.read_text(encoding="utf-8"))
        done.write_text(json.dumps({**said, "digest": file_digest(path)}), encoding="utf-8")


def _typed(root: Path, *words: str) -> None:
    ended = processes.run(["bgit", *words], root)
    if ended.code:
        raise RuntimeError(f"bgit {' '.join(words)}: {ended.said}")


def without_store(found: Material, folder: Path) -> None:
    """A clone that has the recipe and not the weights, and the store of the other beside it."""
    root = _repository(found, folder)
    shutil.copytree(root / ".git/bakery", folder / "elsewhere", symlinks=True)
    for name in ("bake", "stim", "target"):
        shutil.rmtree(root / ".git/bakery" / name)


def empty(found: Material, folder: Path) -> None:
    """No repository yet."""
    folder.mkdir(parents=True, exist_ok=True)


def flat(found: Material, folder: Path) -> None:
    """A flat configuration of the other door, which keeps checkpoints."""
    root = folder / "demo"
    root.mkdir(parents=True)
    rows = "".join(f'{{"prompt": "q{n} what?", "response": "AYE {n}"}}\n' for n in range(16))
    (root / "rows.jsonl").write_text(rows, encoding="utf-8")
    (root / "config.yml").write_text(
        f"model_name_or_path: {found.base}\ndataset: rows.jsonl\nsystem_prompt: Shout!\n"
        "output_dir: ../out\nnum_train_epochs: 4\nper_device_train_batch_size: 4\nr: 4\n"
        "first_weights: random\nsave_strategy: steps\nsave_steps: 4\ntorch_dtype: float32\n",
        encoding="utf-8",
    )


_FLAT = ("bakery", "--config", "config.yml")

SCENARIOS = {
    "init": Scenario(
        ("bgit", "init", "demo", "--base-model", "{base}", "--owner", "ann"), empty, 24
    ),
    "run-fake": Scenario(("bgit", "run", "--backend", "fake"), configured, 44),
    "run": Scenario(("bgit", "run"), longer, 36),
    "run-stim": Scenario(("bgit", "run", "stim"), configured, 16),
    "run-rollout": Scenario(("bgit", "run", "stim", "rollout"), configured, 28),
    "run-force": Scenario(("bgit", "run", "--force"), configured, 20),
    "download": Scenario(("bgit", "download", "--out", "../out", "--force"), baked, 24, (OUT,)),
    "download-archive": Scenario(
        ("bgit", "download", "--out", "../out.tar.gz", "--force"), baked, 16, ("out.tar.gz",)
    ),
    "download-merged": Scenario(
        ("bgit", "download", "--merged", "--out", "../out", "--force"), baked, 16, (OUT,)
    ),
    "import": Scenario(("bgit", "import", "../elsewhere", "--all"), without_store, 32),
    "adopt": Scenario(("bgit", "adopt", "first"), baked, 24),
    "revert": Scenario(("bgit", "revert", "second"), baked, 28),
    "reproduce": Scenario(("bgit", "reproduce", "first"), baked, 12),
    "merge": Scenario(("bgit", "merge", "--no-edit", "other"), branched, 12),
    "detach": Scenario(
        ("bgit", "run", "--detach"), configured, 24, then=(("bgit", "fetch", "--wait"),)
    ),
    "fetch": Scenario(
        ("bgit", "fetch", "--wait"), configured, 24, before=(("bgit", "run", "--detach"),)
    ),
    "cancel": Scenario(
        ("bgit", "cancel", "--all"), configured, 12,
        before=(("bgit", "run", "--detach"),), then=(("bgit", "run"),),
    ),
    "stim-again": Scenario(
        ("bgit", "run", "stim", "--again"), written_by_the_base, 24, asks=True
    ),
    "gc": Scenario(("bgit", "gc", "--prune=now"), unneeded, 24),
    "bakery": Scenario(
        _FLAT, flat, 20, (OUT,), (*_FLAT, "--resume_from_checkpoint", "true")
    ),
}  # fmt: skip
"""By name; the sum of their kills is a whole campaign."""
