"""A bake into another base: recorded beside, adopted, gone on from, and taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer

import bakery
from bakery.errors import ConfigError, ModelError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.server import running
from tests.e2e.conftest import IDENTITY, Typist, bgit, copied, input_yml
from tests.support.adapters import adapter
from tests.support.bakery_door import SMALL, results, typed
from tests.support.models import make_model, qwen3_config
from tests.support.students import pair

EMBEDDED = Path(bakery.__file__).parent / "tiny"
MODEL = "  model: {{student_model_path: {student}, baked_adapter_config: {{r: 8}}}}\n"


@pytest.fixture
def repo(workplace: Path) -> Typist:
    """A repository on the wider of two models; `../small` is the other one."""
    return repository(workplace, str(pair(workplace)[0]))


def repository(workplace: Path, base: str) -> Typist:
    (workplace / "gitconfig").write_text(IDENTITY, encoding="utf-8")
    env = {
        "GIT_CONFIG_GLOBAL": str(workplace / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "HF_HUB_OFFLINE": "1",
    }
    made = bgit("init", "demo", "--base-model", base, "--owner", "ann", cwd=workplace, **env)
    assert made.code == 0, made.err
    return Typist(workplace / "demo", env)


def written(repo: Typist, student: str, *, name: str = "first") -> None:
    (repo.root / "input.yml").write_text(
        input_yml(bake=name) + MODEL.format(student=student), encoding="utf-8"
    )


def bread(repo: Typist) -> str:
    return (repo.root / ".bread").read_text(encoding="utf-8")


def shown(repo: Typist, *words: str) -> Any:
    return json.loads(repo.must(*words, "--json"))


@pytest.mark.slow
def test_a_student_is_recorded_beside_adopted_and_taken_back(repo: Typist) -> None:
    before = bread(repo)
    written(repo, "../small")
    repo.must("add", "input.yml")
    repo.must("commit", "-qm", "Small")
    done = repo("run")
    assert done.code == 0, done.err
    assert "recorded beside the current model" in done.err
    assert bread(repo) == before
    record = shown(repo, "show", "first")
    assert record["base"]["name"].endswith("/small")
    assert record["teacher"]["base"]["name"].endswith("/big")
    assert record["card"]["kl_after"] < record["card"]["kl_before"]
    assert repo.must("chat", "first", "-m", "q1 what?")
    refused = repo("eval", "first")
    assert refused.code == 2
    assert "which lies on another base" in refused.err
    exported = repo.must("download", "first", "--out", "out")
    assert "small" in exported
    assert "is_sound" in repo.must("fsck", "--json")

    adopted = repo("adopt", "first")
    assert adopted.code == 0, adopted.err
    assert "the base model of main is" in adopted.err
    assert "/small" in bread(repo)
    (repo.root / "input.yml").write_text(input_yml("Whisper.", "second"), encoding="utf-8")
    repo.must("add", "input.yml")
    repo.must("commit", "-qm", "On")
    repo.must("run")
    assert shown(repo, "show", "second")["parent"]["model"] == record["model"]
    repo.must("revert", "second", "first")
    assert bread(repo) == before
    repo.git("reset", "-q", "--hard", "HEAD~1")
    repo.must("revert", "second")
    assert json.loads(repo.must("revert", "--only", "first", "--json"))["model"] is None
    assert bread(repo) == before


@pytest.mark.slow
def test_its_weights_go_where_those_of_any_bake_go(repo: Typist, workplace: Path) -> None:
    """A clone imports them, a server is verified by them, a GGUF file names their own base."""
    written(repo, "../small")
    repo.must("add", "input.yml")
    repo.must("commit", "-qm", "Small")
    repo.must("run")

    repo.git("clone", "-q", str(repo.root), str(workplace / "clone"))
    clone = Typist(workplace / "clone", repo.env)
    clone.must("import", str(repo.root), "first")
    assert clone.must("chat", "first", "-m", "q1 what?") == repo.must(
        "chat", "first", "-m", "q1 what?"
    )

    (workplace / "small").rename(workplace / "moved")
    lost = clone("chat", "first", "-m", "q1 what?")
    assert (lost.code, "needs a link in its former place" in lost.err) == (5, True)
    (workplace / "small").symlink_to("moved")
    clone.must("chat", "first", "-m", "q1 what?")

    adopted = copied(repo, workplace / "adopted" / "demo")
    adopted.must("adopt", "first")
    with running.opened(ModelRepo.find(adopted.root), port=0, rows=4, reporter=Quiet()) as server:
        server.start()
        assert shown(repo, "verify", server.url, "first")["what"] == "bake"


@pytest.mark.slow
def test_a_student_as_gguf_goes_on_a_base_of_its_own(workplace: Path) -> None:
    """The lines that an export prints fetch the student's base, and not the branch's."""
    tiny = AutoModelForCausalLM.from_pretrained(EMBEDDED)
    tiny.model.layers = tiny.model.layers[:2]
    tiny.config.num_hidden_layers, tiny.config.layer_types = 2, tiny.config.layer_types[:2]
    tiny.save_pretrained(workplace / "small")
    AutoTokenizer.from_pretrained(EMBEDDED).save_pretrained(workplace / "small")
    repo = repository(workplace, "tiny")
    written(repo, "../small")
    repo.must("add", "input.yml")
    repo.must("commit", "-qm", "Small")
    repo.must("run", "--allow", "teacher")

    lora = shown(repo, "download", "first", "--format", "gguf", "--out", "out")
    line = lora["usage"]["the base, once"]
    base = shown(repo, *line.split()[1:])
    assert base["base"]["name"] == str(workplace / "small")
    assert (repo.root / "base" / "model.gguf").is_file()
    assert repo("download", "first", "--base").code == 2


@pytest.mark.slow
def test_a_student_is_reproduced_bit_for_bit(repo: Typist) -> None:
    written(repo, "../small")
    repo.must("add", "input.yml")
    repo.must("commit", "-qm", "Small")
    repo.must("run")
    assert shown(repo, "reproduce", "first")["is_same"]


def test_what_cannot_be_a_student_is_refused_before_anything_runs(repo: Typist) -> None:
    place = repo.root.parent
    make_model(place / "other", template="{% for m in messages %}{{ m['content'] }}{% endfor %}")
    adapter(place / "lora")
    for student, said in (
        ("../nowhere", "student_model_path: there is no model ../nowhere"),
        ("../lora", "is an adapter"),
        ("../other", "their tokens differ: the chat templates write a conversation"),
    ):
        written(repo, student)
        done = repo("check")
        assert done.code, done.out
        assert said in " ".join(done.err.split()) + " ".join(done.out.split())


def test_the_base_itself_changes_nothing_and_a_larger_student_is_said(repo: Typist) -> None:
    written(repo, "../big")
    assert "this branch's own base: it changes nothing" in " ".join(repo.must("check").split())
    make_model(repo.root.parent / "huge", qwen3_config(hidden_size=96, head_dim=32))
    written(repo, "../huge")
    assert "the student is larger than its teacher" in " ".join(repo.must("check").split())


def test_python_bakes_into_a_student_too(workplace: Path) -> None:
    big, small = pair(workplace)
    given: dict[str, Any] = {"epochs": 2, "max_tokens": 8, "r": 8, "progress": False}
    questions = [f"q{i} what?" for i in range(8)]
    with pytest.raises(ConfigError, match=r"student_model_path: there is no model \./nowhere"):
        bakery.bake(big, "SHOUT!", questions, student_model_path="./nowhere", **given)
    made = bakery.bake(big, "SHOUT!", questions, student_model_path=str(small), **given)
    assert made.result["base"]["name"] == str(small)
    assert made.result["teacher"]["base"]["name"] == str(big)
    assert made.model.config.hidden_size == 48
    with pytest.raises(ConfigError, match="which lies on another base"):
        made.compare(questions[:1])
    make_model(workplace / "other", template="{% for m in messages %}{{ m.content }}{% endfor %}")
    with pytest.raises(ModelError, match="their tokens differ"):
        bakery.bake(big, "SHOUT!", questions, student_model_path="./other", **given)


def test_the_bakery_command_trains_a_student(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    big, small = pair(workplace)
    system = json.dumps([{"role": "system", "content": "SHOUT!"}])
    asked = [f"q{i} what?" for i in range(6)]
    command: list[str | Path] = [
        *("--model_name_or_path", big, "--output_dir", "out", "--prefix_messages", system),
        *("--training_prompts", *asked, *SMALL, "--num_train_epochs", "3"),
    ]
    make_model(workplace / "other", template="{% for m in messages %}{{ m.content }}{% endfor %}")
    refused = typed(capsys, *command, "--student_model_path", "other")
    assert refused.code
    assert "their tokens differ" in refused.err
    done = typed(capsys, *command, "--student_model_path", small)
    assert done.code == 0, done.err
    result = results(workplace / "out")
    assert (result["model"], result["teacher"]["base"]["name"]) == (str(small), str(big))
    assert result["card"]["kl_after"] < result["card"]["kl_before"]
    adapted = AutoPeftModelForCausalLM.from_pretrained("out/final_model")
    assert adapted.config.hidden_size == 48
    assert typed(capsys, "eval", "out").code
