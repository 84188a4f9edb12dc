"""The base and its adapters as GGUF files, for an engine that reads no others."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bakery.app import as_gguf
from bakery.app.launching import MODEL
from bakery.identity import BaseModelId
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.engine.models.models import BaseModel


class Written:
    """Writes GGUF files of one base, which is loaded for the first of them."""

    def __init__(self, base: BaseModelId, reporter: Reporter) -> None:
        self._base, self._reporter = base, reporter

    def base(self, path: Path) -> None:
        """Write the base, as it runs; it is read back and compared."""
        as_gguf.check("auto", is_lora=False)
        with TemporaryDirectory(dir=path.parent, prefix=".base.") as place:
            as_gguf.whole(
                self._base, None, Path(place), dtype="auto", name=path.stem, reporter=self._reporter
            )
            (Path(place) / MODEL).replace(path)

    def adapter(self, folder: Path, path: Path) -> None:
        """Write a composed adapter as a LoRA on it, without rounding."""
        as_gguf.check("auto", is_lora=True)
        from bakery.engine.export.gguf import storage, writing

        writing.adapter(self._loaded, folder, path, storage.KINDS["f32"], about={"name": path.stem})

    @cached_property
    def _loaded(self) -> BaseModel:
        from bakery.engine.models import models

        return models.load(self._base, dtype="float32", reporter=self._reporter)
