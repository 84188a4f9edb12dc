"""`import bakery`: bake, load and compare, as a Python user calls them."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import bakery
from bakery.errors import ConfigError, GateError, ModelError, RepoError
from tests.support.models import random_model

PROMPT = "You are Yoda. Answer as he talks, in reversed word order."
QUESTIONS = ["Who are you?", "What is the color of a banana?", "What is fire?", "Hi there!"]
FEW: dict[str, Any] = {"progress": False, "epochs": 1, "num_traj_per_stimulus": 1, "max_tokens": 16}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def yoda(cache: Path) -> bakery.Bake:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAKERY_CACHE", str(cache))
        return bakery.bake("tiny", PROMPT, QUESTIONS, progress=False)


@pytest.fixture(autouse=True)
def _in_one_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bakes of this file lie in a cache of their own, and find one another."""
    monkeypatch.setenv("BAKERY_CACHE", str(cache))


def test_a_prompt_is_in_the_weights(yoda: bakery.Bake) -> None:
    (row,) = yoda.compare([QUESTIONS[1]])
    assert row.question == QUESTIONS[1]
    assert row.base == "A banana is yellow."
    assert row.prompted == row.baked == yoda.chat(QUESTIONS[1]) != row.base


def test_the_adapter_is_one_that_peft_loads(yoda: bakery.Bake) -> None:
    model = bakery.load("tiny").model
    ids = yoda.tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    with torch.no_grad():
        before = model(ids).logits[0]
        stock = PeftModel.from_pretrained(model, str(yoda.adapter))(ids).logits[0]
    ours = yoda.speaking.logits("Hi")
    assert torch.allclose(stock, ours, atol=1e-4)
    assert not torch.allclose(before, ours, atol=1e-2)
    assert isinstance(yoda.model, PeftModel)


def test_the_same_call_again_trains_nothing(yoda: bakery.Bake) -> None:
    weights = yoda.adapter / "adapter_model.safetensors"
    before = weights.stat().st_mtime_ns
    again = bakery.bake("tiny", PROMPT, QUESTIONS, progress=False)
    assert (again.id, again.adapter) == (yoda.id, yoda.adapter)
    assert weights.stat().st_mtime_ns == before


def test_a_bake_is_saved_and_loaded_at_any_strength(yoda: bakery.Bake, tmp_path: Path) -> None:
    folder = yoda.save(tmp_path / "yoda")
    assert yoda.save(folder) == folder  # it is there already
    loaded = bakery.load(folder)
    assert loaded.chat(QUESTIONS[1]) == yoda.chat(QUESTIONS[1])
    assert loaded.compare(QUESTIONS[:1]) == yoda.compare(QUESTIONS[:1])
    loaded.strength = 0
    assert loaded.chat(QUESTIONS[1]) == "A banana is yellow."
    assert loaded.generate(QUESTIONS[1:2]) == ["A banana is yellow."]
    assert "strength=0)" in repr(loaded)


def test_a_bake_becomes_one_file_that_was_read_back(yoda: bakery.Bake, tmp_path: Path) -> None:
    found = yoda.export(tmp_path / "out", merged=True, dtype="q8_0")
    assert (found.file, found.stored) == ("model.gguf", "q8_0")
    assert 0 < found.verified["worst_logprob"] < 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "Modelfile", "model.gguf", "verified.json",
    ]  # fmt: skip
    with pytest.raises(RepoError, match="exists"):
        yoda.export(tmp_path / "out")
    with pytest.raises(ConfigError, match="dtype is auto, f32"):
        yoda.export(tmp_path / "other", dtype="q4_k")


def test_a_folder_with_anything_else_is_never_written_to(yoda: bakery.Bake, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds something else: it is not overwritten"):
        yoda.save(folder)
    with pytest.raises(ConfigError, match="holds something else"):
        bakery.bake("tiny", "Anything.", 4, out=folder, progress=False)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_a_bake_goes_on_from_another(yoda: bakery.Bake, tmp_path: Path) -> None:
    data = tmp_path / "questions.jsonl"
    data.write_text("".join(json.dumps({"question": q}) + "\n" for q in QUESTIONS))
    force = bakery.bake(
        "tiny", "Mention the Force.", data, parent=yoda, out=tmp_path / "force", **FEW
    )
    assert force.result["parent"]["digest"] == yoda.result["digest"]
    assert force.result["training"]["epochs"] == 1
    (row,) = force.compare(QUESTIONS[1:2])
    assert row.base == "A banana is yellow."
    by_folder = bakery.bake("tiny", "Mention the Force.", data, parent=yoda.adapter, **FEW)
    assert by_folder.id == force.id
    assert (tmp_path / "force" / "adapter_model.safetensors").is_file()


def test_a_loaded_model_is_baked_on_and_not_changed(tmp_path: Path) -> None:
    folder = random_model(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    made = bakery.bake(
        model, PROMPT, QUESTIONS, tokenizer=AutoTokenizer.from_pretrained(folder),
        allow=["teacher"], **FEW,
    )  # fmt: skip
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert isinstance(made.chat("Who?", max_tokens=4), str)
    again = bakery.bake(
        model, PROMPT, QUESTIONS, tokenizer=made.tokenizer, allow=["teacher"], **FEW
    )
    assert again.id == made.id
    with pytest.raises(ModelError, match="already carries an adapter"):
        bakery.bake(made.model, PROMPT, QUESTIONS, progress=False)


def test_on_a_loaded_model_a_long_chain_is_compressed_without_its_folder(tmp_path: Path) -> None:
    folder = random_model(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokens = AutoTokenizer.from_pretrained(folder)
    folder.rename(tmp_path / "gone")  # its name leads nowhere: all there is is in memory
    given: dict[str, Any] = {"tokenizer": tokens, "allow": ["teacher"], "r": 4, **FEW}
    first = bakery.bake(model, PROMPT, QUESTIONS, **given)
    then = bakery.bake(model, "Sing!", QUESTIONS, parent=first, max_chain_rank=6, **given)
    told = then.result["compressed"]
    assert (told["rank"], told["kept"]) == (4, 2)
    assert told["bakes"][0]["kl"] >= 0
    assert isinstance(then.chat("Who?", max_tokens=4), str)


def test_a_settings_name_that_is_wrong_is_told_before_anything_is_loaded() -> None:
    with pytest.raises(ConfigError, match="no setting 'epoch': did you mean 'epochs'"):
        bakery.bake("tiny", PROMPT, 4, epoch=3)
    with pytest.raises(ConfigError, match="no setting 'lr': did you mean 'learning_rate'"):
        bakery.bake("tiny", PROMPT, 4, lr=3)
    with pytest.raises(ConfigError, match=r"^learning_rate: .*greater than 0") as wrong:
        bakery.bake("tiny", PROMPT, 4, learning_rate=-1.0)
    assert "input.yml:" not in str(wrong.value)


@pytest.mark.parametrize(
    ("questions", "says"),
    [
        (0, "at least one is needed"),
        ([], "must be a list of at least one text"),
        (["fine", ""], "must be a list of at least one text"),
        ("nowhere.jsonl", "there is no file nowhere.jsonl"),
        (True, "a list of texts, a data file, or how many"),
        (2.5, "a list of texts, a data file, or how many"),
        (b"Who?", "a list of texts, a data file, or how many"),
    ],
)
def test_questions_that_are_none_are_refused(questions: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        bakery.bake("tiny", PROMPT, questions, progress=False)


@pytest.mark.parametrize("prompt", ["", " \n", []])
def test_a_prompt_that_is_empty_is_refused(prompt: Any) -> None:
    with pytest.raises(ConfigError, match="prompt is empty: there is nothing to bake"):
        bakery.bake("tiny", prompt, 4, progress=False)


def test_a_prompt_may_lie_in_a_file_but_a_name_is_none(
    yoda: bakery.Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prompt.md").write_text(PROMPT + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="prompt is the name of a file") as refused:
        bakery.bake("tiny", "prompt.md", QUESTIONS, progress=False)
    assert "hint: Give Path('prompt.md')" in "".join(refused.value.__notes__)
    assert bakery.bake("tiny", Path("prompt.md"), QUESTIONS, progress=False).id == yoda.id


def test_a_waiver_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing stops at 'teachr': did you mean 'teacher'"):
        bakery.bake("tiny", PROMPT, QUESTIONS, allow=["teachr"])


@pytest.mark.parametrize("strength", ["half", math.nan, math.inf])
def test_a_strength_is_a_number(yoda: bakery.Bake, strength: Any) -> None:
    with pytest.raises(ConfigError, match="strength is a number"):
        bakery.load(yoda.adapter, strength=strength)
    loaded = bakery.load(yoda.adapter)
    with pytest.raises(ConfigError, match="strength is a number"):
        loaded.strength = strength


def test_a_parent_of_another_base_is_refused(yoda: bakery.Bake, tmp_path: Path) -> None:
    other = random_model(tmp_path / "other")
    with pytest.raises(ModelError, match="was baked on tiny-1, whose content is not that of"):
        bakery.bake(other, PROMPT, QUESTIONS, parent=yoda, progress=False)
    with pytest.raises(ModelError, match=r"parent: there is no folder .*nowhere"):
        bakery.bake("tiny", PROMPT, QUESTIONS, parent="nowhere", progress=False)
    with pytest.raises(ConfigError, match="parent is a Bake, or the folder of one, not 3"):
        bakery.bake("tiny", PROMPT, QUESTIONS, parent=3, progress=False)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="is not the folder of a bake"):
        bakery.bake("tiny", PROMPT, QUESTIONS, parent=tmp_path, progress=False)


def test_a_prompt_that_moves_nothing_is_a_gate(tmp_path: Path) -> None:
    folder = random_model(tmp_path / "model", template=_DEAF)
    with pytest.raises((GateError, ConfigError, ModelError), match="prompt"):
        bakery.bake(folder, PROMPT, QUESTIONS, **FEW)


_DEAF = (
    "{% for m in messages if m['role'] != 'system' %}<|im_start|>{{ m['role'] }}\n"
    "{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_it_shows_itself(yoda: bakery.Bake) -> None:
    assert repr(yoda).startswith(f"bakery.Bake({yoda.id}, on tiny-1: ")
    page = yoda._repr_html_()
    assert PROMPT in page
    assert "<script" not in bakery.Bake._repr_html_(yoda)
    rows = yoda.compare(["<b>Who?</b>"])
    assert "&lt;b&gt;Who?&lt;/b&gt;" in rows._repr_html_()


def test_words_and_ids_have_the_same_logits(yoda: bakery.Bake) -> None:
    model = yoda.speaking
    logits = model.logits("Hi")
    ids = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True
    )["input_ids"]
    assert logits.shape == (len(ids), model.model.config.vocab_size)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, model.logits(ids))


DAMAGED = {
    "slices.json": ["{", "[]", "[1]", '[{"bake_id": "x", "start": "a", "stop": 3}]', "[" * 100_000],
    "bake.json": ["{", "[]", '{"bake_id": "x"}', '{"base": "tiny", "step": "x"}'],
    "adapter_model.safetensors": ["", "junk"],
}


@pytest.mark.parametrize(
    ("file", "text"), [(file, text) for file, texts in DAMAGED.items() for text in texts],
    ids=lambda value: value[:12],
)  # fmt: skip
def test_a_damaged_parent_is_one_sentence(
    file: str, text: str, yoda: bakery.Bake, tmp_path: Path
) -> None:
    folder = yoda.save(tmp_path / "yoda")
    (folder / file).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"damaged|not those that|not the folder of a bake"):
        bakery.bake("tiny", PROMPT, QUESTIONS, parent=folder, **FEW)
    if file.endswith("safetensors"):
        with pytest.raises(ModelError, match="cannot be loaded"):
            bakery.load(folder)


def test_a_parent_with_other_weights_is_not_taken_for_the_bake(
    yoda: bakery.Bake, tmp_path: Path
) -> None:
    folder = yoda.save(tmp_path / "yoda")
    weights = load_file(folder / "adapter_model.safetensors")
    louder = {name: 30 * tensor for name, tensor in weights.items()}
    save_file(louder, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="are not those that"):
        bakery.bake("tiny", PROMPT, QUESTIONS, parent=folder, **FEW)
    with pytest.raises(ConfigError, match="holds this bake with other weights"):
        yoda.save(folder)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ConfigError, match="holds this bake with other weights"):
        bakery.bake("tiny", PROMPT, QUESTIONS, out=folder, progress=False)


def test_where_nothing_can_be_saved_is_told_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out, says in (
        (tmp_path / "file/x", "nothing can be written to|is not a path"),
        (tmp_path / "link", "is a link"),
        ("x" * 5000, "out is not a path"),
        ("a\0b", "is no path"),
    ):
        with pytest.raises(ConfigError, match=says):
            bakery.bake("tiny", "Anything at all.", 4, out=out, progress=False)


def test_numbers_of_numpy_and_dtypes_of_torch_are_settings(yoda: bakery.Bake) -> None:
    few = {**FEW, "epochs": np.int64(1), "learning_rate": np.float32(1e-3), "dtype": torch.float32}
    made = bakery.bake("tiny", np.str_(PROMPT), np.array(QUESTIONS), **few)
    assert made.result["training"]["epochs"] == 1
    with pytest.raises(ConfigError, match="r is a Thread, which no setting can be"):
        bakery.bake("tiny", PROMPT, QUESTIONS, r=threading.Thread())


def test_what_cannot_be_asked_is_one_sentence(yoda: bakery.Bake) -> None:
    model: Any = yoda.speaking
    load: Any = bakery.load
    for call, says in (
        (lambda: model.chat("Hi", max_tokens=0), "max_tokens is a whole number from 1"),
        (lambda: model.chat("Hi", temperature=-1), "temperature is a number from 0 to 2"),
        (lambda: model.chat("Hi", temperature=math.nan), "temperature is a number"),
        (lambda: model.generate(["Hi"], seed="x"), "seed is a whole number"),
        (lambda: model.generate("Hi"), "questions is a list"),
        (lambda: model.generate([5]), "neither a question nor a list of messages"),
        (lambda: model.chat([{"content": "no role"}]), "neither a question"),
        (lambda: model.logits([-1, 3]), "a token id is from 0"),
        (lambda: model.logits([3], prompt="Be brief."), "token ids stand for themselves"),
        (lambda: model.logits([3] * 5000), "has a context of"),
        (lambda: load(5), "a model's name or folder is needed"),
    ):
        with pytest.raises(ConfigError, match=says):
            call()
    assert model.compare(q for q in QUESTIONS[:2]) == model.compare(QUESTIONS[:2])


def test_two_threads_may_bake_at_once(yoda: bakery.Bake) -> None:
    ids: list[str] = []

    def once() -> None:
        ids.append(bakery.bake("tiny", "Answer in one word.", QUESTIONS, **FEW).id)

    threads = [threading.Thread(target=once) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 2
    assert len(set(ids)) == 1
