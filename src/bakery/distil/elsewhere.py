"""A teacher that is another model than the student: found, compared and put beside the trainer."""

from __future__ import annotations

from dataclasses import replace

from peft import PeftModel
from transformers import PreTrainedModel

from bakery.distil import loading
from bakery.engine.loss.readout import Readout
from bakery.engine.models.models import BaseModel, Source
from bakery.engine.teacher.elsewhere import Elsewhere
from bakery.engine.text.chat import Chat
from bakery.engine.text.same_tokens import difference
from bakery.errors import ConfigError, ModelError
from bakery.identity import BaseModelId
from bakery.reporting import Reporter
from bakery.settings.config import BakeryConfig, DataConfig

BY_TEXT = (
    "A student needs the same tokenizer and chat template. Another model can learn by text: keep "
    "the teacher's answers (trajectories.jsonl), and fine-tune it on them with any trainer."
)


def learns(data: DataConfig) -> DataConfig:
    """Return what is said of the model that learns: of the configured one, where no other does."""
    if data.student_model_path is None:
        return data
    if data.use_unsloth or data.load_in_4bit:
        raise ConfigError(
            "student_model_path goes without use_unsloth and load_in_4bit",
            hint="Both models are loaded as they are: take the other setting out.",
        )
    return replace(data, model_name_or_path=data.student_model_path, revision=None)


def find(data: DataConfig, training: BakeryConfig, teacher: Chat, reporter: Reporter) -> Source:
    """Return where the student lies; ModelError where its tokens are not the teacher's."""
    source = loading.find(learns(data), reporter=reporter)
    if found := difference(source.chat(training.template_kwargs), teacher):
        raise ModelError(
            f"{source.name} cannot learn from {data.model_name_or_path}: their tokens differ: "
            f"{found}",
            hint=BY_TEXT,
        )
    return source


def of(
    model: PreTrainedModel | PeftModel, chat: Chat, student: Readout, args: BakeryConfig
) -> Elsewhere:
    """Have a model teach the student of a trainer, on its device and frozen."""
    model.to(args.device)
    model.eval().requires_grad_(False)
    bare = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(bare, PreTrainedModel)
    base = BaseModel(BaseModelId(bare.name_or_path, "", ""), bare, chat)
    return Elsewhere.of(base, model, student)
