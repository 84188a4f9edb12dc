"""A model published on a stand-in of the Hub, by the real huggingface_hub."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bakery.app import publish
from bakery.identity import BaseModelId, file_digest
from tests.e2e.conftest import BGIT, Typist, on
from tests.support.hub import TOKEN, Hub, Repo
from tests.support.published import asking
from tests.support.remotes import WEIGHTS

TO = "hf://ann/shout"
ADAPTER = {
    ".gitattributes", "README.md", "adapter_config.json", "adapter_model.safetensors", "bake.json",
    "bakery.json", "metrics.jsonl", "probes.json", "recipe.yml", "slices.json",
}  # fmt: skip


@pytest.fixture
def source(baked_repository: Typist, workplace: Path, hub: Hub) -> Typist:
    return on(hub, baked_repository, workplace / "source")


def test_an_adapter_is_published_in_one_commit_and_again_without_a_byte(
    source: Typist, hub: Hub
) -> None:
    done = source("publish", TO, "--yes")
    assert done.code == 0, done.err
    repo = hub.repos["ann/shout"]
    assert repo.private
    assert set(repo.files) == ADAPTER
    assert len(repo.commits) == 1
    (weights,) = source.store.glob(f"bake/{source.parent().split('_')[-1][:16]}/*/{WEIGHTS}")
    assert list(hub.objects) == [file_digest(weights)]
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in done.out + done.err + "".join(map(str, repo.files.values()))
    again = source("publish", TO, "--yes")
    assert again.code == 0, again.err
    assert "0 bytes sent" in again.out
    assert len(repo.commits) == 1


def test_all_that_goes_out_is_shown_before(source: Typist, hub: Hub) -> None:
    done = source("publish", "first", TO, "--dry-run")
    assert done.code == 0, done.err
    assert "ann/shout" not in hub.repos
    assert not [one for one in hub.asked if not one.startswith("GET")]
    for said in ("SHOUT!", "adapter_model.safetensors", "README.md", "KL to the prompted teacher",
                 'PeftModel.from_pretrained(model, "ann/shout")', "you, and whom you let in",
                 "nothing was sent"):  # fmt: skip
        assert said in done.out
    assert "nobody else has it by that name" in done.err
    assert "nobody says under which licence" in done.err


def test_a_dry_run_without_a_network_says_so_and_goes_on(source: Typist) -> None:
    done = source("publish", TO, "-n", HF_HUB_OFFLINE="1")
    assert done.code == 0, done.err
    assert "what lies there is not known" in done.err
    refused = source("publish", TO, "--yes", HF_HUB_OFFLINE="1")
    assert refused.code == 3
    assert "HF_HUB_OFFLINE is set" in refused.err


def test_nothing_is_sent_where_nobody_can_say_yes(source: Typist, hub: Hub) -> None:
    done = source("publish", TO)
    assert done.code == 2
    assert "--yes" in done.err
    assert source("publish", TO, "--json").code == 2
    assert hub.asked == []


@pytest.mark.parametrize(("said", "sends"), [("yes\n", True), ("no\n", False), ("\n", False)])
def test_a_terminal_is_asked(source: Typist, hub: Hub, said: str, sends: bool) -> None:
    reads, writes = pty.openpty()
    started = subprocess.Popen(
        [BGIT, "publish", TO], cwd=source.root, env={**os.environ, **source.env}, stdin=writes,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.write(reads, said.encode())
    out, err = started.communicate(timeout=120)
    os.close(reads)
    os.close(writes)
    assert started.returncode == (0 if sends else 1), err
    assert "for you alone to see? [yes/no]" in err
    assert ("ann/shout" in hub.repos) is sends
    assert ("nothing was sent" in out) is not sends


def test_json_says_what_was_published(source: Typist, hub: Hub) -> None:
    found = json.loads(source.must("publish", TO, "--yes", "--json"))
    assert found["schema"] == 1
    assert found["commit"] == hub.repos["ann/shout"].commit
    assert {one["name"] for one in found["files"]} == ADAPTER - {".gitattributes"}
    assert found["sent"] == sum(one["size"] for one in found["files"])
    assert found["licence"]["kind"] == "unknown"
    assert [one["text"] for one in found["prompts"]] == [
        "system: SHOUT!",
        "system: Whisper, please.",
    ]


def test_what_is_public_is_not_written_to_as_if_it_were_private(source: Typist, hub: Hub) -> None:
    hub.repos["ann/shout"] = Repo("ann/shout", private=False)
    done = source("publish", TO, "--yes")
    assert done.code == 3
    assert "is public, and this would be private" in done.err
    assert not hub.repos["ann/shout"].files


def test_a_public_model_needs_a_licence_that_somebody_names(source: Typist, hub: Hub) -> None:
    done = source("publish", TO, "--yes", "--public")
    assert done.code == 2
    assert "--licence NAME" in done.err
    assert source("publish", TO, "--yes", "--public", "--licence", "cc-by-nd-4.0").code == 2
    assert "ann/shout" not in hub.repos
    done = source("publish", TO, "--yes", "--public", "--licence", "gemma")
    assert done.code == 0, done.err
    assert "prohibited uses" in done.err
    repo = hub.repos["ann/shout"]
    assert not repo.private
    assert "license: gemma" in repo.files["README.md"].decode()


@pytest.mark.parametrize(
    ("card", "found"),
    [
        ({"license": "apache-2.0"}, "apache-2.0"),
        ({"license": "other", "license_name": "qwen-research"}, "qwen-research"),
        ({}, None),
    ],
)
def test_the_page_of_a_base_says_its_licence(
    hub: Hub, card: dict[str, str], found: str | None
) -> None:
    hub.repos["org/base"] = Repo("org/base", private=False, card=card)
    with asking(hub):
        assert publish.licence_of(BaseModelId("org/base", "", "0" * 64)) == found
        assert publish.licence_of(BaseModelId("org/none", "", "0" * 64)) is None
        hub.fails["GET"] = (503, {})
        assert publish.licence_of(BaseModelId("org/base", "", "0" * 64)) is None


@pytest.mark.slow
def test_the_card_has_what_was_measured(source: Typist, hub: Hub) -> None:
    source.must("eval", "first", "--only", "leakage", "--limit", "1")
    source.must("publish", "first", TO, "--yes")
    card = hub.repos["ann/shout"].files["README.md"].decode()
    assert "## Evaluation" in card
    assert "| leakage: " in card
    made = source.must("publish", "first", TO, "-n", "--json")
    assert json.loads(made)["evaluations"] == 1


def test_a_private_one_becomes_public_and_its_history_is_told(source: Typist, hub: Hub) -> None:
    source.must("publish", TO, "--yes", "--licence", "mit")
    done = source("publish", TO, "--yes", "--public", "--licence", "mit")
    assert done.code == 0, done.err
    assert "all of its history becomes public" in done.err
    assert not hub.repos["ann/shout"].private
    assert len(hub.repos["ann/shout"].commits) == 1


@pytest.mark.slow
def test_another_model_is_named_before_it_is_replaced(source: Typist, hub: Hub) -> None:
    source.must("publish", "first", TO, "--yes", "--merged")
    done = source("publish", "second", TO, "--yes")
    assert done.code == 0, done.err
    assert "another model, ann/demo/first_" in done.out
    repo = hub.repos["ann/shout"]
    assert set(repo.files) == ADAPTER
    assert len(repo.commits) == 2
    ran = subprocess.run(
        [sys.executable, "-c", IN_PYTHON, TO], cwd=source.root, env={**os.environ, **source.env},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.stdout.splitlines() == [
        "refused: hf://ann/shout holds another model, " + source.parent(),
        "would replace another model, " + source.parent(),
        f"made {repo.commit}",
        "refused: soul is no part that can be left out",
    ], ran.stderr  # fmt: skip
    assert len(repo.commits) == 3


IN_PYTHON = """
import sys, bakery
from bakery.errors import BakeryError
repo, to = bakery.Repo(progress=False), sys.argv[1]
def tried(**how):
    try:
        return repo.publish(to, "first", **how)
    except BakeryError as error:
        print("refused:", error.message)
tried()
print("would replace", tried(dry_run=True).what.replaces)
print("made", tried(replace=True).commit)
tried(without=["soul"])
"""


def test_files_of_somebody_stay_and_are_asked_for(source: Typist, hub: Hub) -> None:
    hub.repos["ann/shout"] = Repo("ann/shout", files={"notes.md": b"mine", "model.bin": b"x"})
    found = json.loads(source.must("publish", TO, "-n", "--json"))
    assert found["replaces"].startswith("2 files that bgit did not put there")
    source.must("publish", TO, "--yes")
    assert set(hub.repos["ann/shout"].files) == ADAPTER - {".gitattributes"} | {
        "notes.md",
        "model.bin",
    }


@pytest.mark.parametrize("parts", ["prompt", "examples", "prompt,examples"])
def test_what_is_left_out_is_in_no_file(source: Typist, hub: Hub, parts: str) -> None:
    shown = source.must("publish", TO, "--yes", "--without", parts)
    repo = hub.repos["ann/shout"]
    gone = {"bake.json", "probes.json"} | ({"recipe.yml"} if "prompt" in parts else set())
    assert set(repo.files) == ADAPTER - gone
    sent = {name: data for name, data in repo.files.items() if name != WEIGHTS}
    assert not [name for name, data in sent.items() if b"when" in data.lower()]
    has = [name for name, data in sent.items() if b"Whisper, please." in data]
    assert has == ([] if "prompt" in parts else ["README.md", "recipe.yml"])
    assert ("Whisper, please." in shown) is ("prompt" not in parts)


def test_a_key_goes_nowhere(source: Typist, hub: Hub) -> None:
    found = next(source.store.glob("bake/*/probes.json"))
    for path in source.store.glob("bake/*/probes.json"):
        path.write_text(
            path.read_text().replace('"question":', f'"x": "{"sk-" + "a1" * 20}", "question":')
        )
    assert "sk-" in found.read_text()
    done = source("publish", TO, "--yes")
    assert done.code == 2
    assert "probes.json:" in done.err
    assert "looks like an API key" in done.err
    assert "ann/shout" not in hub.repos


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        ("GET /api/models/ann/shout", 401, "hf auth login"),
        ("GET /api/models/ann/shout", 403, "you may not"),
        ("GET /api/models/ann/shout", 500, "trouble of its own"),
        ("POST /api/repos/create", 403, "you may not"),
        ("POST /api/repos/create", 401, "hf auth login"),
        ("POST /ann/shout.git/info/lfs", 403, "you may not"),
        ("PUT /lfs/", 403, "you may not"),
        ("POST /api/models/ann/shout/commit", 409, "changed in the meantime"),
        ("POST /api/models/ann/shout/commit", 412, "changed in the meantime"),
        ("POST /api/models/ann/shout/commit", 400, "takes it for wrong"),
    ],
)
def test_a_refusal_is_told_in_words(
    source: Typist, hub: Hub, asked: str, code: int, told: str
) -> None:
    hub.fails[asked] = (code, {})
    done = source("publish", TO, "--yes")
    assert done.code == 3
    assert told in done.err
    assert "hint: " in done.err
    assert "Traceback" not in done.err
    assert TOKEN not in done.out + done.err
    assert not hub.repos.get("ann/shout", Repo("")).commits
    hub.fails.clear()
    assert source("publish", TO, "--yes").code == 0


def test_a_hub_that_makes_it_public_gets_nothing(source: Typist, hub: Hub) -> None:
    def opened(asked: str) -> None:
        for repo in hub.repos.values():
            repo.private = False

    hub.before = opened
    done = source("publish", TO, "--yes")
    assert done.code == 3
    assert "it is public" in done.err
    assert set(hub.repos["ann/shout"].files) == {".gitattributes"}


def test_what_changed_since_it_was_shown_is_not_written_over(source: Typist, hub: Hub) -> None:
    source.must("publish", "first", TO, "--yes")
    repo = hub.repos["ann/shout"]

    def committed(asked: str) -> None:
        if asked.startswith("POST /ann/shout.git") and len(repo.commits) == 1:
            repo.put("somebody else's", dict(repo.files))

    hub.before = committed
    done = source("publish", "second", TO, "--yes")
    assert done.code == 3
    assert "changed in the meantime" in done.err
    assert b"first_" in repo.files["bakery.json"]


@pytest.mark.slow
def test_a_branch_is_made_and_main_stays(source: Typist, hub: Hub) -> None:
    source.must("publish", "first", TO, "--yes")
    repo = hub.repos["ann/shout"]
    before = dict(repo.files)
    done = source("publish", "second", f"{TO}@next", "--yes")
    assert done.code == 0, done.err
    assert repo.files == before
    made = repo.at("next")
    assert made is not None
    assert b"second_" in made["bakery.json"]
    assert "0 bytes sent" in source.must("publish", "second", f"{TO}@next", "--yes")


def test_one_that_is_killed_leaves_nothing_and_goes_on(source: Typist, hub: Hub) -> None:
    started: list[subprocess.Popen[str]] = []

    def killed(asked: str) -> None:
        if asked.startswith("POST /api/models/ann/shout/commit"):
            started[0].kill()
            started[0].wait()

    hub.before = killed
    started.append(source.started("publish", TO, "--yes"))
    started[0].communicate(timeout=120)
    hub.before = None
    hub.repos["ann/shout"].commits.clear()
    hub.repos["ann/shout"].files.clear()
    done = source("publish", TO, "--yes")
    assert done.code == 0, done.err
    assert not list(source.store.glob(".publish*"))


@pytest.mark.slow
@pytest.mark.parametrize("at", ["PUT /lfs/", "POST /api/models/ann/shout/commit"])
def test_ctrl_c_ends_it_in_words_and_the_next_one_goes_on(
    source: Typist, hub: Hub, at: str
) -> None:
    started: list[subprocess.Popen[str]] = []

    def stopped(asked: str) -> None:
        if asked.startswith(at) and started[0].poll() is None:
            started[0].send_signal(signal.SIGINT)
            started[0].wait(60)

    hub.before = stopped
    started.append(source.started("publish", TO, "--yes"))
    _, err = started[0].communicate(timeout=120)
    assert started[0].returncode == 130, err
    assert "stopped; run the same command again" in err
    assert "Traceback" not in err
    assert not list(source.store.glob(".publish*"))
    hub.before = None
    done = source("publish", TO, "--yes")
    assert done.code == 0, done.err


def test_made_up_answers_and_the_base_are_no_models(source: Typist, hub: Hub) -> None:
    assert source("publish", "base", TO, "--yes").code == 3
    assert source("publish", "first", "second", TO, "--yes").code == 2
    assert source("publish", "first", "--yes").code == 2
    assert hub.repos.keys() == {"ann/yoda"}
