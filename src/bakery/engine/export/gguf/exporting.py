"""A base and the adapter of its bakes in, a GGUF file out that was read back and compared.

A file that is not the same model is deleted. What is refused is refused before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from peft import PeftModel
from peft.tuners.lora import LoraLayer

from bakery.engine.bases.gguf import kept
from bakery.engine.export.gguf import storage as storages
from bakery.engine.export.gguf import verifying, writing
from bakery.engine.export.gguf.names import Names, weights
from bakery.engine.export.gguf.storage import LOSS, Storage
from bakery.engine.export.gguf.verifying import Expected, Verified
from bakery.engine.export.gguf.writing import Written
from bakery.engine.models import adapter_head, adapters, merged
from bakery.engine.models.adapter_folder import WEIGHTS
from bakery.engine.models.models import BaseModel
from bakery.reporting import Quiet, Reporter

Prompts = Sequence[Sequence[int]]
_OF_FACTORS = 16.0
"""By how much more a product of two rounded factors may be off than each of them."""


def model(
    base: BaseModel,
    adapter: Path | None,
    path: Path,
    storage: Storage,
    *,
    about: Mapping[str, str] | None = None,
    prompts: Prompts = (),
    reporter: Reporter | None = None,
) -> Verified:
    """Write a base, loaded in float32, with an adapter in its weights (None: without any).

    The base is changed by that, and not to be used again. `about`: what the file says under
    `general`; `prompts`: ids that it is asked to see whether it came out right.
    """
    told = reporter or Quiet()
    architecture = writing.check(base.model.config, base.chat)
    changed: list[str] = []
    if adapter is not None:
        student = adapters.attach_parent(base.model, adapter)
        merged.check(student)
        changed = list(adapter_head.read(adapter / WEIGHTS).layers)
        student.merge_and_unload(safe_merge=True)
    asked = prompts or verifying.prompts(base.chat)
    with _kept_if_whole(path):
        told.note(f"writing {path.name} ({storage.name})")
        written = writing.model(base, path, storage, about=about or {}, changed=changed)
        said = verifying.said(base.model, base.chat, asked)
        names = Names(base.model.config, architecture)
        losses = {
            name: verifying.loss_of(written, names.of(name))
            for name, _ in weights(base.model, base.model.config)
        }
        with TemporaryDirectory(dir=path.parent, prefix=".read-back.") as draft:
            kept.unpack_into(path, Path(draft), reporter=told)
            return verifying.compare(
                path, written, verifying.expected_of(base, losses), said, base.chat,
                unpacked=Path(draft), is_exact=storage.is_exact,
            )  # fmt: skip


def adapter(
    base: BaseModel,
    folder: Path,
    path: Path,
    kind: Kind = Kind.F32,
    *,
    about: Mapping[str, str] | None = None,
    prompts: Prompts = (),
    reporter: Reporter | None = None,
) -> Verified:
    """Write an adapter's folder as a LoRA for llama.cpp; the base is loaded in float32.

    It is verified on the base: both are written, added up as llama.cpp does, and read back.
    """
    told = reporter or Quiet()
    architecture = writing.check(base.model.config, base.chat)
    asked = prompts or verifying.prompts(base.chat)
    names = Names(base.model.config, architecture)
    with _kept_if_whole(path), TemporaryDirectory(dir=path.parent, prefix=".read-back.") as place:
        told.note(f"writing {path.name} ({kind.name.lower()})")
        written = writing.adapter(base, folder, path, kind, about=about or {})
        whole, draft = Path(place) / "sum.gguf", Path(place) / "unpacked"
        writing.model(base, whole, storages.of("f32"), about={})
        add(whole, path)
        student = adapters.attach_parent(base.model, folder)
        said = verifying.said(student, base.chat, asked)
        draft.mkdir()
        kept.unpack_into(whole, draft, reporter=told)
        return verifying.compare(
            whole, written, _expected_sums(student, written, names), said, base.chat,
            unpacked=draft, is_exact=kind is Kind.F32,
        )  # fmt: skip


def add(whole: Path, lora: Path) -> None:
    """Add a LoRA to the weights of a file, by their names, as llama.cpp does when it computes."""
    reader = gguf.GGUFReader(str(lora))
    factors = {t.name: gguf.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    alpha = float(reader.fields["adapter.lora.alpha"].contents())
    sums = gguf.GGUFReader(str(whole), "r+")
    for tensor in sums.tensors:
        if (a_RI := factors.pop(f"{tensor.name}.lora_a", None)) is not None:
            b_OR = factors.pop(f"{tensor.name}.lora_b")
            tensor.data[:] += np.float32(alpha / a_RI.shape[0]) * (b_OR @ a_RI)
    sums.data.flush()
    assert not factors, f"no weight takes {min(factors)}"


def _expected_sums(student: PeftModel, written: Written, names: Names) -> Expected:
    """Yield what the adapted layers are with their adapter."""
    for name, layer in student.get_base_model().named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        weight = layer.get_base_layer().weight.detach()
        delta = sum(layer.get_delta_weight(one).detach() for one in layer.active_adapters)
        loss = LOSS[written.kinds[f"{names.of(f'{name}.weight')}.lora_b"]]
        share = float(delta.abs().max() / ((weight + delta).abs().max() or 1.0))
        yield f"{name}.weight", weight + delta, _OF_FACTORS * loss * share + 1e-5


@contextmanager
def _kept_if_whole(path: Path) -> Iterator[None]:
    """Delete a file where anything fails behind it."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
