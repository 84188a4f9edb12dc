"""However a student's batch is laid out, its loss and gradients are those of one row at a time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from bakery.engine.loss.losses import forward_kl
from bakery.engine.loss.readout import Readout
from bakery.engine.packed.attention import KEYWORD
from bakery.engine.packed.support import support_of
from bakery.engine.packed.trees import smallest, trees
from bakery.engine.teacher.examples import PACKED, PADDED, SHARED, Examples, collator
from bakery.engine.teacher.teacher import LiveTeacher
from bakery.engine.text.views import Pair, View
from bakery.engine.training.trainer import MODEL_INPUTS
from tests.engine.test_packed import REFUSED
from tests.support.zoo import ZOO, random_model

SYSTEM = tuple(3 + i * 5 % 59 for i in range(30))
ARCHITECTURES = sorted(set(ZOO) - REFUSED)


def pairs_of_all_kinds() -> list[Pair]:
    """Several answers to one prompt, single ones, all lengths; two spans; a single target."""
    pairs = []
    for prompt, lengths in enumerate([(9, 4, 1), (3,), (12, 12)]):
        asked = tuple(5 + (prompt * 7 + i * 3) % 50 for i in range(4 + prompt))
        for answer, length in enumerate(lengths):
            said = tuple(4 + (answer * 11 + i * 7 + prompt) % 55 for i in range(length))
            pairs.append(paired(f"{prompt}/{answer}", asked, said, [(0, length)]))
    return [*pairs, paired("two spans", (8, 9, 10), (7, 6, 5, 40, 41, 42), [(0, 2), (4, 6)])]


def paired(
    key: str, asked: Sequence[int], said: Sequence[int], spans: Sequence[tuple[int, int]]
) -> Pair:
    def view(before: tuple[int, ...]) -> View:
        moved = tuple((len(before) + start, len(before) + stop) for start, stop in spans)
        return View((*before, *said), moved)

    return Pair(key, view((*SYSTEM, *asked)), view(tuple(asked)))


def student(name: str) -> PeftModel:
    """A model of the zoo with an adapter that already says something else than the base."""
    lora = LoraConfig(r=4, target_modules=linear_layers(name), fan_in_fan_out=name == "gpt2")
    model = get_peft_model(random_model(name, scale=2.0), lora)
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.05)
    return model.eval()  # no dropout: GPT-2 has it by default


def linear_layers(name: str) -> str | list[str]:
    """Return what learns; experts stay as they are."""
    if name == "gpt2":
        return ["c_attn", "c_proj", "c_fc"]
    mixture = name in ("mixtral", "qwen3_moe", "gpt_oss")
    return ["q_proj", "k_proj", "v_proj", "o_proj"] if mixture else "all-linear"


def step(
    model: PeftModel, batches: Sequence[Sequence[Pair]], *, layout: str, kernel: str = "sdpa"
) -> tuple[float, dict[str, torch.Tensor]]:
    """Return the summed divergence of all batches, and its gradient."""
    model.zero_grad()
    readout, support = Readout(model), support_of(model)
    collate = collator(Examples([], LiveTeacher(model, readout)), 0, layout=layout)
    total = 0.0
    for pairs in batches:
        batch = collate([pairs])
        teacher = LiveTeacher(model, readout).features_of_pairs(batch["pairs"])
        inputs = {name: batch[name] for name in MODEL_INPUTS if name in batch}
        if layout != PADDED:
            inputs[KEYWORD].kernel = kernel
        # Backward is inside: it runs forwards again where activations were not kept.
        with support.attending() if layout != PADDED else nullcontext():
            features = readout.features(model, inputs, batch["rows"], batch["cols"])
            loss = forward_kl(readout.logits(features), readout.logits(teacher)).sum()
            loss.backward()
        total += loss.item()
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return total, grads


def assert_same(
    ours: tuple[float, dict[str, torch.Tensor]], theirs: tuple[float, dict[str, torch.Tensor]]
) -> None:
    # A small difference of large numbers: which of them are rounded how is the processor's.
    assert ours[0] == pytest.approx(theirs[0], rel=1e-4, abs=3e-6)
    assert ours[1].keys() == theirs[1].keys() != set()
    for name, gradient in ours[1].items():
        expected = theirs[1][name]
        scale = float(expected.abs().max())
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize("kernel", ["sdpa", "explicit"])
@pytest.mark.parametrize("layout", [SHARED, PACKED])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_packed_is_padded_is_one_by_one(name: str, layout: str, kernel: str) -> None:
    model, pairs = student(name), pairs_of_all_kinds()
    alone = step(model, [[pair] for pair in pairs], layout=PADDED)
    assert alone[0] > 1e-3
    assert_same(step(model, [pairs], layout=PADDED), alone)
    assert_same(step(model, [pairs], layout=layout, kernel=kernel), alone)
    one_by_one = step(model, [[pair] for pair in pairs], layout=layout, kernel=kernel)
    assert_same(one_by_one, alone)


def behind_a_template(pairs: Sequence[Pair]) -> list[Pair]:
    """Put what a template writes in front of every conversation before the student's views."""
    begin = tuple(range(3, 15))

    def moved(view: View) -> View:
        spans = tuple((start + len(begin), stop + len(begin)) for start, stop in view.spans)
        return View((*begin, *view.ids), spans)

    return [Pair(pair.key, pair.teacher, moved(pair.student)) for pair in pairs]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_all_rows_begin_with_is_there_once_and_has_its_gradient(name: str) -> None:
    model, pairs = student(name), behind_a_template(pairs_of_all_kinds())
    views = [pair.student for pair in pairs]
    (around,) = smallest(views)
    assert len(around) < sum(map(len, trees(views)))
    alone = step(model, [[pair] for pair in pairs], layout=PADDED)
    assert_same(step(model, [pairs], layout=SHARED), alone)


def test_answers_to_one_question_stay_one_tree_where_that_is_less() -> None:
    pairs = [pair for pair in pairs_of_all_kinds() if pair.key.startswith("0/")]
    views = [pair.student for pair in pairs]
    assert smallest(views) == trees(views)
    assert smallest([]) == []


@pytest.mark.parametrize("name", ["qwen3", "gemma2", "gpt_oss"])
def test_a_packed_step_may_be_repeated_for_memory(name: str) -> None:
    model, pairs = student(name), pairs_of_all_kinds()
    expected = step(model, [pairs], layout=PACKED)
    model.train()  # checkpointing is for training only
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.activation_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()
    assert_same(step(model, [pairs], layout=PACKED), expected)
