"""What one bake is: bytes of its adapter and of its record, and seconds in both pools."""

from __future__ import annotations

from dataclasses import dataclass

from scale.inputs import Inputs

FP32, BF16 = 4, 2
HEADER = 11_000
"""Bytes before the tensors of an adapter, about: its names and shapes."""
BACKWARD = 3
"""A step costs so many times a forward pass: it goes on, back, and to the gradient."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base model, by its configuration."""

    name: str
    key: str
    """How inputs call it."""
    on: str
    """The kind of machine that it is baked on."""
    parameters: int
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    file_bytes: int

    @property
    def projections(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of each linear map of a layer."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        inner, hidden = self.intermediate, self.hidden
        return (
            (hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden),
            (hidden, inner), (hidden, inner), (inner, hidden),
        )  # fmt: skip

    def rank_bytes(self, itemsize: int = FP32) -> int:
        """Return the bytes of an adapter for each of its ranks."""
        return self.layers * sum(a + b for a, b in self.projections) * itemsize

    def adapter_bytes(self, ranks: int, itemsize: int = FP32) -> int:
        """Return the bytes of an adapter of so many ranks on all projections."""
        return ranks * self.rank_bytes(itemsize) + HEADER

    def record_bytes(self, positions: int) -> int:
        """Return the bytes of a teacher's record: moments in fp32, else hidden states in bf16."""
        width = (self.hidden + 2) * FP32 if self.on == "CPU" else self.hidden * BF16
        return positions * width


TINY = Base("tiny", "tiny", "CPU", 3_020_000, 6, 192, 3, 3, 64, 512, 6_100_000)
BASES = (
    Base("SmolLM2-135M", "smollm2", "CPU", 134_515_008, 30, 576, 9, 3, 64, 1536, 269_000_000),
    Base("Qwen3-0.6B", "06b", "GPU", 596_049_920, 28, 1024, 16, 8, 128, 3072, 1_500_000_000),
    Base("Qwen3-8B", "8b", "GPU", 8_190_735_360, 36, 4096, 32, 8, 128, 12288, 16_400_000_000),
)


@dataclass(frozen=True, slots=True)
class Seconds:
    """What a bake takes of a worker in each pool, and to load its base first."""

    load: float
    sampling: float
    training: float


def seconds(base: Base, given: Inputs) -> Seconds:
    """Return what a bake takes on its kind of machine."""
    return _on_a_cpu(given) if base.on == "CPU" else _on_a_gpu(base, given)


def rates(base: Base, given: Inputs) -> tuple[float, float, bool]:
    """Return tokens a second of sampling and training on a GPU, and whether they are measured.

    Worked out: a step of decoding and a batch of training wait for the host, layer by layer, as
    long as they were seen to on a CPU, and for their products.
    """
    named = f"sampling_{base.key}", f"training_{base.key}"
    if all(name in given.all for name in named):
        return given[named[0]], given[named[1]], True
    product_s = 2 * base.parameters / (given["gpu_flops"] * given["gpu_share"])
    rows = given["sampled_at_once"]
    decoded_s = base.layers * given["token_s"] + rows * product_s
    tokens = given["batch"] * (given["question_tokens"] + given["answer_tokens"])
    step_s = base.layers * given["step_s"] + BACKWARD * tokens * product_s
    return rows / decoded_s, tokens / step_s, False


def _on_a_gpu(base: Base, given: Inputs) -> Seconds:
    sampling, training, _ = rates(base, given)
    row = given["question_tokens"] + given["answer_tokens"]
    sampled = (given["answers"] + given["asked_by_model"]) * given["answer_tokens"]
    learnt = given["steps"] * given["batch"] * row
    # Record, first weights, and measuring before and after run forward alone.
    forward = given["prompt_tokens"] + 3 * given["answers"] * row
    return Seconds(
        load=given["load_s"] + base.parameters * BF16 / given["loaded"],
        sampling=given["first_sample_s"] + sampled / sampling,
        training=given["first_step_s"] + (learnt + forward / BACKWARD) / training,
    )


def _on_a_cpu(given: Inputs) -> Seconds:
    """Return what was measured for shorter answers, by their tokens."""
    answers = given["answers"]
    longer = given["answer_tokens"] / given["cpu_tokens"]
    row = given["question_tokens"] + given["answer_tokens"]
    longer_row = row / (given["question_tokens"] + given["cpu_tokens"])
    asked = (answers + given["asked_by_model"]) * given["cpu_answer_s"] * longer
    learnt = answers * given["cpu_record_s"] + given["steps"] * given["cpu_step_s"]
    return Seconds(
        load=given["load_s"],
        sampling=given["cpu_start_s"] + asked,
        training=given["cpu_fit_s"] + learnt * longer_row,
    )
