"""What is loaded is what was meant: no weight made up, left over or no number, no unknown token."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import bakery.engine
from bakery.distil.trainer import ContextBakingTrainer
from bakery.engine.bases import bases
from bakery.engine.models import given, loaded, models
from bakery.engine.models.models import Source
from bakery.engine.text import ends, template
from bakery.errors import ConfigError, ModelError
from bakery.identity import BaseModelId
from bakery.records import Prompt
from bakery.settings.config import BakeryConfig
from tests.support.model_folders import POINTER, change
from tests.support.models import byte_tokenizer, make_model, qwen3_config, random_model
from tests.support.vocabulary import CHATML

Weights = dict[str, torch.Tensor]
UP, NORM = "model.layers.1.mlp.up_proj.weight", "model.norm.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return random_model(tmp_path / "model")


def rewrite(folder: Path, harm: Callable[[Weights], object]) -> Source:
    """Change the weights of a folder; return it as a source that nobody has looked through."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    harm(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    return Source(str(folder), str(folder))


def put(name: str, value: float) -> Callable[[Weights], object]:
    return lambda tensors: tensors[name].view(-1)[3:4].fill_(value)


HARMS: dict[str, tuple[Callable[[Weights], object], str]] = {
    "one is missing": (lambda t: t.pop(UP), rf"lacks {UP}"),
    "many are missing": (
        lambda t: [t.pop(n) for n in list(t) if "mlp" in n], r"lacks .*down_proj.* and 3 more"),
    "one is left over": (
        lambda t: t.update({"model.layers.2.mlp.up_proj.weight": t[UP].clone()}),
        r"weights that no layer takes: model\.layers\.2\.mlp\.up_proj\.weight"),
    "one has another shape": (
        lambda t: t.update({UP: torch.zeros(32, 32)}), rf"stores {UP} as 32×32, .* makes it 64×32"),
    "NaN": (put(UP, float("nan")), rf"no finite numbers \(NaN or Inf\) in {UP}"),
    "Inf": (put(NORM, float("inf")), rf"no finite numbers \(NaN or Inf\) in {NORM}"),
    "both ends": (
        lambda t: (put(UP, float("inf"))(t), put(NORM, float("-inf"))(t)), "no finite numbers"),
}  # fmt: skip


@pytest.mark.parametrize("case", HARMS)
def test_weights_that_are_not_the_models_are_refused(folder, case):
    harm, said = HARMS[case]
    source = rewrite(folder, harm)
    with pytest.raises(ModelError, match=said):
        source.model(dtype="float32")


def test_a_repository_on_a_damaged_base_from_before_is_refused(folder):
    rewrite(folder, lambda tensors: tensors.pop(UP))
    base = BaseModelId(str(folder), "", bases.content_digest(folder))
    with pytest.raises(ModelError, match=rf"lacks {UP}"):
        models.load(base)


def test_a_number_that_the_dtype_asked_for_cannot_hold_is_refused(folder):
    source = rewrite(folder, put(UP, 1e5))
    assert source.model(dtype="float32").dtype == torch.float32
    with pytest.raises(ModelError, match="no finite numbers"):
        source.model(dtype="float16")


def test_large_numbers_are_numbers(folder):
    source = rewrite(folder, lambda tensors: tensors[UP].fill_(1e37))
    assert source.model(dtype="float32").dtype == torch.float32


def test_a_tied_head_needs_no_weights_and_another_does(tmp_path):
    folder = make_model(tmp_path / "model", qwen3_config(tie_word_embeddings=False))
    source = rewrite(folder, lambda tensors: tensors.pop("lm_head.weight"))
    with pytest.raises(ModelError, match=r"lacks lm_head\.weight"):
        source.model()
    change(folder / "config.json", tie_word_embeddings=True)
    assert source.model().config.tie_word_embeddings


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "[]"),
        ("config.json", '{"model_type": "qwen3", "hidden_size": "wide"}'),
        ("config.json", '{"model_type": "no-such-model"}'),
        ("tokenizer.json", '{"model": {"type": "BPE"}}'),
        ("tokenizer_config.json", '{"eos_token": 3}'),
        ("generation_config.json", '{"eos_token_id": {"a": 1}}'),
        ("generation_config.json", '{"eos_token_id": "<|im_end|>"}'),
        ("model.safetensors", POINTER),
    ],
)
def test_whatever_a_library_raises_names_the_model(folder, name, content):
    (folder / name).write_text(content)
    source = Source(str(folder), str(folder))
    with pytest.raises(ModelError):
        read_all(source)


def read_all(source: Source) -> None:
    """Read tokenizer, template, ends and weights."""
    source.chat()
    source.model()


def test_attention_that_is_not_installed_is_not_fetched(folder):
    source = Source(str(folder), str(folder))
    change(folder / "config.json", _attn_implementation="flash_attention_3")
    assert source.model().config._attn_implementation == "sdpa"
    with pytest.raises(ModelError, match="needs the package flash_attn_interface"):
        source.model(attention="flash_attention_3")
    with pytest.raises(ModelError, match="is native code of the hub"):
        source.model(attention="kernels-community/flash")
    change(folder / "config.json", _attn_implementation="eager")
    assert source.model().config._attn_implementation == "eager"


def test_native_code_of_the_hub_is_off():
    assert bakery.engine
    assert os.environ["USE_HUB_KERNELS"] == "NO"


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A model with an embedding less than its tokenizer has tokens."""
    return make_model(tmp_path / "short", qwen3_config(vocab_size=258))


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(short):
    said = r"has the token \S+ \(id 258\), and the model 258 embeddings"
    base = BaseModelId(str(short), "", bases.content_digest(short))
    for ask in (Source(str(short), str(short)).chat, lambda: models.load(base)):
        with pytest.raises(ModelError, match=said):
            ask()
    model = AutoModelForCausalLM.from_pretrained(short)
    with pytest.raises(ModelError, match=said):
        given.base_of(model, byte_tokenizer())
    student = get_peft_model(model, LoraConfig(target_modules=["q_proj"]))
    args = BakeryConfig(output_dir=str(short / "out"))
    with pytest.raises(ModelError, match=said):
        ContextBakingTrainer(student, args, processing_class=byte_tokenizer(), train_dataset=[])


def test_a_loaded_model_with_a_weight_that_is_no_number_is_refused(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    with pytest.raises(ModelError, match=rf"NaN or Inf\) in {NORM}"):
        given.base_of(model, byte_tokenizer())
    with pytest.raises(ModelError, match=rf"NaN or Inf\) in {NORM}"):
        ContextBakingTrainer(model, BakeryConfig(output_dir=str(folder / "out")))


def test_a_picture_in_the_text_of_a_model_without_eyes_is_refused(folder):
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["<image_soft_token>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    chat = models.load(bases.identify(str(folder))).chat
    assert chat.prefix_ids(Prompt(()), [{"role": "user", "content": "Hello"}])
    shown = "look: <image_soft_token>"
    with pytest.raises(ConfigError, match="the text holds <image_soft_token>, which"):
        chat.prefix_ids(Prompt(()), [{"role": "user", "content": shown}])
    with pytest.raises(ConfigError, match="the text holds <image_soft_token>, which"):
        chat.encoded(shown)


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ((2, None), [2]),
        ((None, [3, 1], 2), [1, 2, 3]),
        ((2, (2, 5), [5]), [2, 5]),
        ((None, -1, []), []),
    ],
)
def test_every_source_of_ends_counts(named, found):
    assert ends.ids(*named) == found


@pytest.mark.parametrize("named", ["2", 2.0, True, [2, "x"], {"a": 1}])
def test_an_end_that_is_no_id_is_refused(named):
    with pytest.raises(ModelError, match="which is no token's id"):
        ends.ids(1, named)


def named_in(folder: Path, *, tokenizer: int, generation: object, config: object) -> list[int]:
    """Return the ends of a model whose files name these."""
    change(folder / "config.json", eos_token_id=config)
    if generation is None:
        (folder / "generation_config.json").unlink()
    else:
        change(folder / "generation_config.json", eos_token_id=generation)
    return Source(str(folder), str(folder)).end_ids(tokenizer)


@pytest.mark.parametrize(
    ("tokenizer", "generation", "config", "found"),
    [
        (2, [2, 5], None, [2, 5]),
        (2, 5, 6, [2, 5, 6]),
        (2, None, [6], [2, 6]),
        (2, None, None, [2]),
        (2, 10**12, 259, [2]),
    ],
    ids=["both", "all three", "no generation_config", "tokenizer alone", "beyond all tokens"],
)
def test_ends_are_those_of_tokenizer_and_both_configurations(
    folder, tokenizer, generation, config, found
):
    assert named_in(folder, tokenizer=tokenizer, generation=generation, config=config) == found


def test_both_doors_gather_the_same_ends(folder):
    named_in(folder, tokenizer=2, generation=[5], config=6)
    loaded_ends = models.load(bases.identify(str(folder))).chat.end_ids
    assert loaded_ends == Source(str(folder), str(folder)).chat().end_ids == {2, 5, 6}


NOTHING = CHATML.replace("<|im_end|>", "")
UNKNOWN = CHATML.replace("<|im_end|>", "<|eot|>")
HEADER = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ROLES = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
CLOSED = CHATML.replace("<|im_end|>", "<|close|><|im_end|>")


@pytest.mark.parametrize(
    ("shape", "named", "said"),
    [
        (CHATML, 2, None),
        (CHATML, [0, 2], None),
        (CHATML, 0, r"ends turns with <\|im_end\|>, which neither tokenizer nor generation_config"),
        (UNKNOWN, 2, r"ends turns with <\|eot\|>, which is no token of the tokenizer"),
        (HEADER, 1, None),
        (HEADER, 0, r"ends turns with <\|im_start\|>, which neither"),
        (CLOSED, 2, None),
        (ROLES, 2, None),
        ("{{ raise_exception('no') }}", 2, None),
    ],
    ids=["named", "one of two", "unnamed", "no token", "the next header", "an unnamed header",
         "behind a closing token", "no sign", "a template that refuses"],
)  # fmt: skip
def test_a_templates_end_that_nothing_names_is_said_by_both_doors(folder, shape, named, said):
    (folder / "chat_template.jinja").write_text(shape)
    first = named[0] if isinstance(named, list) else named
    change(folder / "generation_config.json", eos_token_id=named)
    change(folder / "config.json", eos_token_id=None)
    change(
        folder / "tokenizer_config.json",
        eos_token=["<|endoftext|>", "<|im_start|>", "<|im_end|>"][first],
    )
    heard = [
        loaded.unnamed_end(Source(str(folder), str(folder)).chat()),
        template.unnamed_end(BaseModelId(str(folder), "", "")),
    ]
    assert heard[0] == heard[1]
    assert re.search(said or "^None$", str(heard[0]))
