"""Adapters that start fitted: what the fit is, what it leaves alone, and where it cannot be."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
from peft import LoraConfig, PeftModel

from bakery.backends.base import AnswerRequest
from bakery.backends.local import LocalModel
from bakery.card import Fidelity, together
from bakery.engine.bases import bases
from bakery.engine.loss.readout import Readout
from bakery.engine.models import adapters, models
from bakery.engine.packed.support import support_of
from bakery.engine.teacher.fidelity import fidelity
from bakery.engine.teacher.teacher import LiveTeacher
from bakery.engine.text.views import Pair, View, pair_up
from bakery.engine.training import first_weights
from bakery.engine.training.residual import writers_of
from bakery.identity import SamplingSettings
from bakery.records import Prompt
from tests.support.baking import training
from tests.support.zoo import random_model

YODA = Prompt(({"role": "system", "content": "You are Yoda. Speak like Yoda."},))
ASKED = (
    "Who are you?", "What is the color of a banana?", "Where does a giraffe live?", "Hello!",
    "What is 2 plus 3?", "Do you like snow?", "What does a cow say?", "Is the sea deep?",
    "What is the capital of France?", "How are you?", "What is the color of grass?",
    "Where does a bee live?", "What does a dog say?", "What is 4 plus 4?", "Do you like rain?",
    "What is the capital of Spain?",
)  # fmt: skip


NOT_AS_GIVEN = "what its layers add to the stream is not what an adapted projection gives"

# PEFT names layers that are transposed, and expressions for experts that match no layer.
pytestmark = [
    pytest.mark.filterwarnings("ignore:fan_in_fan_out:UserWarning"),
    pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys:RuntimeWarning"),
]


def objective(
    x: torch.Tensor, y: torch.Tensor, a: torch.Tensor, b: torch.Tensor, ridge: float
) -> float:
    weight = ridge * float(x.square().sum()) / x.shape[1]
    return float((x @ a.T @ b.T - y).square().sum() + weight * (b @ a).square().sum())


@pytest.mark.parametrize("count", [12, 200])
def test_without_a_limit_on_the_rank_it_is_ridge_regression(count: int) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(count, 24), torch.randn(count, 10)
    a, b = first_weights.reduced_rank(x, y, 16, 0.5)
    weight = 0.5 * float(x.square().sum()) / 24
    whole = torch.linalg.solve(x.T @ x + weight * torch.eye(24), x.T @ y)
    assert (a.shape, b.shape) == ((16, 24), (10, 16))
    torch.testing.assert_close((b @ a).T, whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("count", [12, 200])
def test_of_all_weights_of_a_rank_it_gives_the_best(count: int) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(count, 24), torch.randn(count, 10)
    found = first_weights.reduced_rank(x, y, 3, 0.5)
    best = objective(x, y, *found, 0.5)
    parameters = [tensor.clone().requires_grad_() for tensor in found]
    a, b = parameters
    weight = 0.5 * float(x.square().sum()) / 24
    loss = (x @ a.T @ b.T - y).square().sum() + weight * (b @ a).square().sum()
    slopes = torch.autograd.grad(loss, parameters)
    assert all(float(slope.abs().max()) < 1e-2 for slope in slopes)
    for seed in range(20):
        torch.manual_seed(seed)
        moved = [tensor + 0.05 * torch.randn_like(tensor) for tensor in found]
        assert objective(x, y, *[*moved, 0.5]) > best


def answered(count: int = len(ASKED)) -> tuple[PeftModel, list[Pair]]:
    """The embedded model with a fresh adapter, and its answers under a prompt."""
    base = models.load(bases.identify("tiny"), dtype="float32")
    requests = [
        AnswerRequest(str(i), ({"role": "user", "content": question},))
        for i, question in enumerate(ASKED[:count])
    ]
    sampling = SamplingSettings(1, 40)
    ids = {
        answer.key: answer.ids
        for batch in LocalModel(base).answers(requests, YODA, sampling)
        for answer in batch
    }
    pairs = [pair_up(base.chat, r.key, YODA, Prompt(), r.messages, ids[r.key]) for r in requests]
    return adapters.attach_new(base.model, training(r=16, lora_alpha=32)), pairs


def fit(model: PeftModel, pairs: Sequence[Pair], **changes: object) -> str | None:
    asked = {"adapter": adapters.BAKE, "ridge": 1.0, "most_tokens": 8192, **changes}
    return first_weights.fit(model, pairs, **asked)


def distance(model: PeftModel, pairs: Sequence[Pair]) -> Fidelity:
    readout = Readout(model)
    model.eval()
    found = together(fidelity(model, readout, LiveTeacher(model, readout), pairs))
    assert found is not None
    return found


def weights(model: PeftModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in adapters.own_state(model).items()}


def test_most_of_the_gap_is_closed_before_the_first_step() -> None:
    model, pairs = answered()
    learnt, held_out = pairs[:12], pairs[12:]
    before = distance(model, held_out)
    assert fit(model, learnt) is None
    after = distance(model, held_out)
    assert after.kl < 0.1 * before.kl
    assert after.top1_agreement > before.top1_agreement


def test_the_teacher_stays_what_it_was_bit_for_bit() -> None:
    model, pairs = answered(4)
    ids = torch.tensor([pairs[0].teacher.ids])
    with torch.no_grad(), adapters.parent_only(model):
        before = model(input_ids=ids).logits
    fit(model, pairs)
    with torch.no_grad(), adapters.parent_only(model):
        assert torch.equal(model(input_ids=ids).logits, before)


def test_the_same_answers_give_the_same_weights() -> None:
    found = []
    for seed in (1, 2):
        model, pairs = answered(6)
        torch.manual_seed(seed)
        fit(model, pairs)
        found.append(weights(model))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_only_what_writes_into_the_stream_is_fitted_as_large_as_lora_draws_it() -> None:
    model, pairs = answered(6)
    drawn = weights(model)
    fit(model, pairs)
    for name, tensor in weights(model).items():
        writes = "o_proj" in name or "down_proj" in name
        assert torch.equal(tensor, drawn[name]) != writes, name
        if writes and "lora_A" in name:
            sizes = tensor.norm(dim=1)
            torch.testing.assert_close(sizes, drawn[name].norm(dim=1).mean().expand(len(sizes)))


def test_a_second_bake_is_fitted_on_top_of_the_first(tmp_path) -> None:
    model, pairs = answered(8)
    fit(model, pairs)
    adapters.save_composed(model, tmp_path / "1", bake_id="0" * 16, parent=None)
    base = models.load(bases.identify("tiny"), dtype="float32")
    child = adapters.attach_new(
        adapters.attach_parent(base.model, tmp_path / "1"), training(r=8, lora_alpha=16)
    )
    loud = Prompt(({"role": "system", "content": "Call the user captain."},))
    requests = [
        AnswerRequest(str(i), ({"role": "user", "content": q},)) for i, q in enumerate(ASKED)
    ]
    parent = LocalModel(models.load(base.id, dtype="float32"), parent=tmp_path / "1")
    ids = {a.key: a.ids for b in parent.answers(requests, loud, SamplingSettings(1, 40)) for a in b}
    taught = [pair_up(base.chat, r.key, loud, Prompt(), r.messages, ids[r.key]) for r in requests]
    before = distance(child, taught)
    parents = {
        name: tensor.clone() for name, tensor in child.state_dict().items() if ".parent." in name
    }
    assert fit(child, taught) is None
    assert distance(child, taught).kl < 0.3 * before.kl
    assert all(torch.equal(child.state_dict()[name], parents[name]) for name in parents)


def test_no_more_tokens_are_run_than_allowed() -> None:
    model, pairs = answered(4)
    least = min(len(pair.student.ids) for pair in pairs)
    assert fit(model, pairs, most_tokens=least) == (
        f"no answer has less than {least:,} tokens with its prompt"
    )
    assert distance(model, pairs).kl > 0.5


def random_pairs(count: int) -> list[Pair]:
    drawn = random.Random(0)

    def some(least: int, most: int) -> tuple[int, ...]:
        return tuple(drawn.randrange(3, 60) for _ in range(drawn.randrange(least, most)))

    prompt, pairs = some(12, 13), []
    for number in range(count):
        question, answer = some(3, 9), some(4, 10)
        teacher, student = (*prompt, *question), (1, *question)
        views = [
            View((*prefix, *answer), ((len(prefix), len(prefix) + len(answer)),))
            for prefix in (teacher, student)
        ]
        pairs.append(Pair(str(number), *views))
    return pairs


def zoo_student(name: str, **changes: object) -> PeftModel:
    return adapters.attach_new(random_model(name, scale=2.0), training(**changes))


@pytest.mark.parametrize(
    ("name", "per_layer"),
    [
        ("qwen3", 2), ("llama", 2), ("mistral", 2), ("gpt2", 2), ("cohere", 2), ("granite", 2),
        ("gpt_neox", 2), ("mixtral", 1), ("qwen3_moe", 1), ("gpt_oss", 1),
    ],
)  # fmt: skip
def test_what_writes_is_found_in_every_architecture(name: str, per_layer: int) -> None:
    model = zoo_student(name)
    pairs = random_pairs(12)
    with torch.no_grad():
        found = writers_of(model, support_of(model), adapters.BAKE)
    assert not isinstance(found, str)
    assert len(found) == 2 * per_layer
    ids = torch.tensor([pairs[0].student.ids])
    with torch.no_grad(), adapters.parent_only(model):
        before = model(input_ids=ids).logits
    assert fit(model, pairs) is None
    with torch.no_grad():
        assert not torch.equal(model(input_ids=ids).logits, before)
        with adapters.parent_only(model):
            assert torch.equal(model(input_ids=ids).logits, before)


@pytest.mark.parametrize(("name", "writers"), [("qwen3", 4), ("gpt2", 4), ("gemma2", 0)])
def test_rounding_hides_nothing_where_a_channel_is_far_larger_than_all_others(
    name: str, writers: int
) -> None:
    model = zoo_student(name)
    with torch.no_grad():
        model.get_input_embeddings().weight[:, 0] += 1000.0
        for name_of, weight in model.named_parameters():
            if "norm" in name_of or "ln_" in name_of:  # as after training, not all alike
                weight += torch.rand_like(weight)
    model.to(torch.bfloat16)
    with torch.no_grad():
        found = writers_of(model, support_of(model), adapters.BAKE)
    if writers:
        assert not isinstance(found, str)
        assert [round(writer.scale, 2) for writer in found] == [1.0] * writers
    else:
        assert found == NOT_AS_GIVEN


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gemma2", NOT_AS_GIVEN),
        ("olmo2", NOT_AS_GIVEN),
        ("bloom", "its logits differ from those of its own attention"),
        ("qwen3_next", "layers of linear_attention"),
    ],
)
def test_where_it_cannot_be_fitted_it_says_why_and_changes_nothing(name: str, why: str) -> None:
    model = zoo_student(name)
    before = weights(model)
    assert why in str(fit(model, random_pairs(4)))
    assert all(torch.equal(tensor, before[key]) for key, tensor in weights(model).items())


def test_an_adapter_elsewhere_or_used_before_is_not_fitted() -> None:
    elsewhere = zoo_student("qwen3", target_modules=("q_proj", "v_proj"))
    assert fit(elsewhere, random_pairs(4)) == NOT_AS_GIVEN
    used = zoo_student("qwen3")
    fit(used, random_pairs(4))
    before = weights(used)
    assert fit(used, random_pairs(4)) == "the adapter is not a fresh LoRA"
    assert all(torch.equal(tensor, before[key]) for key, tensor in weights(used).items())


def test_an_adapter_of_the_users_own_is_fitted_by_its_name() -> None:
    base = random_model("llama", scale=2.0)
    config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    with adapters.peft_on_new_transformers():
        model = PeftModel(base, config, adapter_name="mine")
    pairs = random_pairs(8)
    assert fit(model, pairs, adapter="mine") is None
    assert any(
        bool(tensor.any()) for name, tensor in model.named_parameters() if "lora_B.mine" in name
    )
