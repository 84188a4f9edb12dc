"""input.yml as frozen types; the only package that knows its keys.

Reading stops at "what did the author write": defaults that depend on the base model,
and every id, are `repo.plan`'s business.
"""

from bakery.schema.bakes import (
    AdapterConfig,
    Bake,
    BakeModel,
    OnPolicy,
)
from bakery.schema.files import File, InputSpec, load, written
from bakery.schema.generators import (
    CustomQuestions,
    DatasetQuestions,
    Generator,
    HardcodedQuestions,
    OneshotQuestions,
    PersonaQuestions,
)
from bakery.schema.inheritance import Sections
from bakery.schema.mixing import Dataset
from bakery.schema.on_base import on_another_base
from bakery.schema.optimizing import Optimizer, Scheduler
from bakery.schema.prompts import PromptSection
from bakery.schema.targets import SamplingExtras, Target

__all__ = [
    "AdapterConfig",
    "Bake",
    "BakeModel",
    "CustomQuestions",
    "Dataset",
    "DatasetQuestions",
    "File",
    "Generator",
    "HardcodedQuestions",
    "InputSpec",
    "OnPolicy",
    "OneshotQuestions",
    "Optimizer",
    "PersonaQuestions",
    "PromptSection",
    "SamplingExtras",
    "Scheduler",
    "Sections",
    "Target",
    "load",
    "on_another_base",
    "written",
]
