"""What a user has in the folder and the index is the user's."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Typed, Typist, copied, input_yml

NEXT = input_yml("Sing!", "third")


@dataclass(frozen=True)
class Hooked:
    """A repository whose hook refused the bake, with files of the user's own."""

    typist: Typist
    refused: Typed
    before: tuple[str, str]
    after: tuple[str, str]


def own_state(typist: Typist) -> tuple[str, str]:
    """Return what is staged and changed, and HEAD."""
    return typist.git("diff", "HEAD") + typist.changes(), typist.git("rev-parse", "HEAD")


@pytest.fixture(scope="module")
def hooked(new_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Hooked:
    typist = copied(new_repository, tmp_path_factory.mktemp("hooked") / "demo")
    typist.commit(input_yml())
    typist.write("staged\n", "staged.txt")
    typist.git("add", "staged.txt")
    typist.write(typist.read("README.md") + "edited\n", "README.md")
    typist.write("loose\n", "loose.txt")
    typist.hook("pre-commit", "echo 'no commits on a Friday'; exit 1")
    before = own_state(typist)
    refused = typist("run", "stim", "rollout", "bake")
    return Hooked(typist, refused, before, own_state(typist))


@pytest.fixture
def recorded(hooked: Hooked, workplace: Path) -> tuple[Typist, Typed]:
    """The repository without the hook, after `bgit run bake`; and what that said."""
    typist = copied(hooked.typist, workplace / "demo")
    (typist.root / ".git/hooks/pre-commit").unlink()
    return typist, typist("run", "bake")


def test_a_hook_that_refuses_is_an_error_in_its_words(hooked: Hooked) -> None:
    assert hooked.refused.code == 3
    assert "no commits on a Friday" in hooked.refused.err
    assert "The bake is kept: `bgit run bake` records it without training" in hooked.refused.err


def test_a_refused_bake_leaves_folder_and_index_as_they_were(hooked: Hooked) -> None:
    assert hooked.after == hooked.before
    assert hooked.typist.parent() == ""


def test_a_refused_bake_is_shown_as_done_and_not_recorded(hooked: Hooked) -> None:
    assert re.search(r"next: bgit run bake +\(records first_\w{16}", hooked.typist.must("status"))


def test_without_the_hook_it_is_recorded_without_training(
    recorded: tuple[Typist, Typed],
) -> None:
    typist, said = recorded
    assert said.code == 0
    assert "is in the store already" in said.err
    assert "bake:" not in said.err
    assert re.fullmatch(r"ann/demo/first_\w{16}/6", typist.parent())


def test_staged_edited_and_loose_files_survive_the_commit(recorded: tuple[Typist, Typed]) -> None:
    typist, _ = recorded
    assert typist.changes().splitlines() == [" M README.md", "A  staged.txt", "?? loose.txt"]
    assert typist.read("README.md").endswith("edited\n")
    assert typist.git("show", "--name-only", "--format=", "HEAD").splitlines() == [
        ".bread",
        "input.yml",
        "recipe.yml",
    ]


@pytest.mark.slow
def test_a_configuration_written_while_a_bake_runs_is_kept(baked: Typist) -> None:
    baked.commit(input_yml("Hum!", "hum"))
    process = baked.started("run", "stim", "rollout", "bake")
    wait_for_bakes(baked, 3)
    baked.write(NEXT)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert baked.read() == NEXT
    assert baked.changes() == " M input.yml"
    assert "input.yml is not the one that was baked: it is left as it is" in err
    assert baked.parent().startswith("ann/demo/hum_")


def wait_for_bakes(typist: Typist, count: int) -> None:
    """Wait until the store holds so many bakes, done or not."""
    end = time.monotonic() + 120
    while len(list(typist.store.glob("bake/*"))) < count:
        assert time.monotonic() < end, "no bake was begun"
        time.sleep(0.005)


def test_a_new_name_for_bake_and_target_makes_nothing_again(baked: Typist) -> None:
    digest = re.findall(r"      digest: (\w+)", baked.read("recipe.yml"))
    files = sorted(p for p in baked.store.rglob("*") if p.parent.name != "locks")
    baked.must("revert", "HEAD")
    renamed = baked.read().replace("name: second", "name: hush")
    baked.commit(renamed.replace("name: main_target", "name: whispers"))
    done = baked("run", "stim", "rollout", "bake")
    assert done.code == 0, done.err
    assert re.search(r"hush_\w{16} is in the store already", done.err)
    assert sorted(p for p in baked.store.rglob("*") if p.parent.name != "locks") == files
    assert re.findall(r"      digest: (\w+)", baked.read("recipe.yml")) == digest
    assert baked.parent().startswith("ann/demo/hush_")
    assert "whispers" in baked.read("recipe.yml")
    assert "main_target" not in baked.read("recipe.yml").partition("name: hush")[2]


def test_questions_come_from_the_file_itself_and_from_no_link(typist: Typist) -> None:
    (typist.root / "d").mkdir()
    typist.write("Who are you?\nWhere are you?\n", "d/q.txt")
    (typist.root / "q.txt").symlink_to("d/q.txt")
    text = input_yml().replace("type: hardcoded", "type: from_dataset\n      dataset: q.txt")
    text = "".join(x for x in text.splitlines(keepends=True) if "questions:" not in x)
    typist.git("add", "d", "q.txt")
    typist.commit(text)
    typist.git("commit", "-q", "-m", "Questions")
    for code, command in ((1, ("check",)), (2, ("run", "stim"))):
        done = typist(*command)
        assert done.code == code, done.err
        assert "q.txt is, or leads through, a symbolic link" in done.err
    (typist.root / "q.txt").unlink()
    typist.git("mv", "-f", "d/q.txt", "q.txt")
    typist.must("check")
    typist.must("run", "stim")
    (stimuli,) = typist.store.glob("stim/*/stimuli.jsonl")
    assert "Who are you?" in stimuli.read_text("utf-8")
