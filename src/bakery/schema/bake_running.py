"""The parts of `BAKE` that say which pairs are learnt, what is kept, and how it is watched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator

from bakery.schema.common import Count, Number, Path, Section, Seed

Part = Annotated[Number, Field(ge=0, le=1, allow_inf_nan=False)]
Times = Annotated[int, Field(ge=0, strict=True)]
DrawnBy = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
"""A seed that every library takes."""


class DataSource(Section):
    """A file of the original service's trainer. Here the pairs come from the targets."""

    type: Annotated[Literal["bake_jsonl"], Field(description="The one kind there was.")] = (
        "bake_jsonl"
    )
    name_or_path: Annotated[str | None, Field(description="A file of pairs.")] = None
    split: Annotated[str | None, Field(description="`train` or `eval`.")] = None
    max_samples: Annotated[int, Field(ge=-1, strict=True, description="-1: all.")] = -1
    sample_ratio: Annotated[Number | None, Field(ge=0, description="Share of the rows.")] = None
    sample_count: Annotated[int | None, Field(ge=0, strict=True, description="Number of rows.")] = (
        None
    )
    sample_seed: Annotated[Seed, Field(description="What they are drawn by.")] = 42
    process: Annotated[bool, Field(description="Whether rows are tokenised.")] = True


class BakeData(Section):
    """Which pairs are learnt, and what of teacher and student is compared."""

    type: Annotated[Literal["single_baker"], Field(description="The one kind there is.")] = (
        "single_baker"
    )
    sources: Annotated[
        tuple[DataSource, ...],
        Field(description="No effect: `datasets` names the targets to learn from."),
    ] = ()
    eval_sources: Annotated[
        tuple[DataSource, ...], Field(description="No effect: stimuli of the targets are held out.")
    ] = ()
    max_length: Annotated[
        Count | None,
        Field(
            description="Tokens of prompt, question and answer over which a pair is left out, said "
            "and counted; nothing is cut. Default: as the model allows."
        ),
    ] = None
    train_eval_split: Annotated[
        tuple[Part, Part] | None,
        Field(
            description="Shares of the stimuli to train and to measure on, e.g. [0.8, 0.2]. "
            "Default: 10 % are held out, at least 20 where that is at most a fifth."
        ),
    ] = None
    seed: Annotated[
        DrawnBy | None, Field(description="Seed of the mix and its order. Default: `BAKE.seed`.")
    ] = None
    beta: Annotated[
        Part,
        Field(
            description="0: forward KL, which covers all that the teacher says; 1: reverse KL, "
            "which says nothing it would not; between: the generalised Jensen-Shannon divergence."
        ),
    ] = 0.0
    temperature: Annotated[
        Number,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="What the logits of both are divided by in the loss.",
        ),
    ] = 1.0
    dl_num_workers: Annotated[
        Times | None, Field(description="No effect: the pairs lie in memory.")
    ] = None
    num_proc: Annotated[Times | None, Field(description="No effect: the pairs lie in memory.")] = (
        None
    )
    cache_dir: Annotated[
        str | None, Field(description="No effect: the store keeps all by its id.")
    ] = None
    use_data_cache: Annotated[bool | None, Field(description="No effect: see `cache_dir`.")] = None
    cache_fs_type: Annotated[
        Literal["auto", "local", "shared"] | None, Field(description="No effect: see `cache_dir`.")
    ] = None

    @field_validator("train_eval_split")
    @classmethod
    def _is_a_whole(cls, split: tuple[float, float] | None) -> tuple[float, float] | None:
        if split is not None and abs(sum(split) - 1) > 1e-6:
            raise ValueError(f"the shares are {sum(split):g} together, and must add up to 1")
        if split is not None and not split[0]:
            raise ValueError("nothing is left to train on")
        return split

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Yield what is done differently."""
        why = {
            "sources": "BAKE.datasets names the targets to learn from",
            "eval_sources": "stimuli of the targets are held out, see train_eval_split",
            "dl_num_workers": "the pairs lie in memory, and no process reads them ahead",
            "num_proc": "the pairs are tokenised in one process",
            "cache_dir": "the store keeps questions, answers and bakes by their ids",
            "use_data_cache": "the store keeps questions, answers and bakes by their ids",
            "cache_fs_type": "the store keeps questions, answers and bakes by their ids",
        }
        for key, reason in why.items():
            if key in self.model_fields_set and getattr(self, key) not in (None, ()):
                yield (key,), f"data.{key} has no effect: {reason}"


class Checkpoint(Section):
    """Which steps are kept as models beside the last."""

    type: Annotated[Literal["huggingface"], Field(description="A standard adapter folder.")] = (
        "huggingface"
    )
    output_dir: Annotated[str | None, Field(description="No effect: the store holds them.")] = None
    enabled: Annotated[bool, Field(description="`false`: as if this entry were not there.")] = True
    auto_resume: Annotated[
        bool | None,
        Field(description="No effect: an interrupted bake always goes on where it was."),
    ] = None
    save_every_n_steps: Annotated[
        Times, Field(description="The model after each n-th step is kept; 0: none.")
    ] = 0
    save_every_n_epochs: Annotated[
        Times, Field(description="The model after each n-th epoch is kept; 0: none.")
    ] = 0
    save_end_of_training: Annotated[
        bool, Field(description="The last step is kept in any case.")
    ] = True

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Yield what is done differently."""
        if not self.enabled:
            return
        if self.output_dir is not None:
            yield ("output_dir",), "checkpoint.output_dir has no effect: the store holds the models"
        if self.auto_resume is False:
            said = "an interrupted bake goes on where it was, whatever auto_resume says"
            yield ("auto_resume",), said
        if not self.save_end_of_training:
            yield ("save_end_of_training",), "the last step is kept in any case"


SHARDS = 3
"""The stage of ZeRO that shares weights out."""


class ZeroOptimization(Section):
    """How DeepSpeed shards what training holds."""

    model_config = ConfigDict(extra="allow")

    stage: Annotated[int, Field(ge=0, le=3, strict=True, description="0 to 3.")] = 0


class DeepSpeed(Section):
    """Settings of DeepSpeed, of which its third stage is done: several processes share the base."""

    model_config = ConfigDict(extra="allow")

    zero_optimization: Annotated[ZeroOptimization, Field(description="ZeRO.")] = ZeroOptimization()

    @property
    def shares_out(self) -> bool:
        """Whether processes share the base's weights out."""
        return self.zero_optimization.stage == SHARDS

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Yield what is done differently."""
        stage, said = self.zero_optimization.stage, ""
        if self.shares_out:
            said = (
                "ZeRO stage 3 is done by FSDP2: with `bgit run bake --nproc N` the processes share "
                "the base's weights out; one process alone has nobody to share with"
            )
        elif stage:
            said = (
                f"ZeRO stage {stage} has no effect: gradients and optimizer are those of a small "
                "adapter. Stage 3 shares the base out"
            )
        if said:
            yield (), f"deepspeed: {said}"
        if self.model_extra or self.zero_optimization.model_extra:
            yield (), "deepspeed: its other settings have no effect: DeepSpeed itself is not run"
