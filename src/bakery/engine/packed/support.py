"""Which models run with the engine's own attention, found out by trying.

A model has to hand its layout to every layer and do nothing else across tokens. A short probe
compares it with the model's own forward; what a probe cannot reach (windows wider than it) is
read from the configuration. Where either says no, rows are padded and prefixes run per row.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedConfig

from bakery.engine.modes import evaluating
from bakery.engine.packed.attention import KEYWORD, Layout, Rule, attending, configs_of
from bakery.engine.packed.layouts import Decoded, KeysValues, Packed, Prefix, Segment
from bakery.engine.packed.reading import LastLayer, last_layer

KINDS = {"full_attention", "sliding_attention"}
"""Layer types whose rules the engine's attention knows."""

OURS_REPLACES = {None, "eager", "sdpa"}
"""Implementations that nobody has to ask for: any other was chosen, and stays."""

BY_LENGTH = {"dynamic", "longrope"}
"""Rotary embeddings whose frequencies depend on how long the rows of a batch are."""

TOLERANCE = 1e-3
"""Largest difference, relative to the largest logit, that counts as rounding in fp32."""


@dataclass(frozen=True, slots=True)
class Support:
    """Whether a model may run with the engine's attention, and how to do so."""

    refused: str | None
    configs: tuple[PreTrainedConfig, ...]
    last: LastLayer | None = None
    """Where the last layer may leave out what nobody reads."""

    @property
    def num_layers(self) -> int:
        """How many layers attend in one forward."""
        return int(self.configs[0].get_text_config().num_hidden_layers)

    @contextmanager
    def attending(self) -> Iterator[None]:
        """Have the model use the engine's attention; every forward must bring its layout."""
        with attending(self.configs), self.last.reading() if self.last else nullcontext():
            yield

    @contextmanager
    def running(self, layout: Layout) -> Iterator[dict[str, Any]]:
        """Yield what to tell a forward, and its gradient, for them to run under a layout."""
        with self.attending():
            yield {KEYWORD: layout}

    def forward(self, model: nn.Module, layout: Layout, **inputs: Any) -> Any:
        """Run the model once under a layout."""
        with self.running(layout) as told:
            return model(**inputs, **told, use_cache=False)


def support_of(model: nn.Module) -> Support:
    """Probe a model once; adapters on it change nothing about the answer."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    if base not in _found:
        configs = tuple(configs_of(base))
        _found[base] = _examined(base, configs)
    return _found[base]


_found: weakref.WeakKeyDictionary[nn.Module, Support] = weakref.WeakKeyDictionary()


class _Watched:
    """A layout that notes which window every layer asked for."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.windows: dict[int, int | None] = {}
        self.last: nn.Module | None = None

    def attend(
        self, layer: nn.Module, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rule: Rule
    ) -> torch.Tensor:
        """Attend as the layout does."""
        self.windows[id(layer)] = rule.window
        self.last = layer
        return self.layout.attend(layer, q, k, v, rule)


@torch.no_grad()
def _examined(model: nn.Module, configs: tuple[PreTrainedConfig, ...]) -> Support:
    """Find out whether this model can run packed, and what its last layer may leave out."""
    if not configs:
        return Support("it has no configuration", configs)
    text = configs[0].get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ())
    refused = None
    if configs[0]._attn_implementation not in OURS_REPLACES:
        refused = f"its attention is {configs[0]._attn_implementation}, as it was loaded"
    elif kinds - KINDS:
        refused = f"it has layers of {', '.join(sorted(kinds - KINDS))}"
    elif _rope_kinds(text) & BY_LENGTH:
        refused = "its rotary embedding changes with the longest row of a batch"
    if refused is not None:
        return Support(refused, configs)
    try:
        with evaluating(model):
            return _probed(model, configs, text)
    except _ENDINGS as error:
        said = str(error).splitlines()[0] if str(error) else repr(error)
        return Support(f"a probe ended with: {said}", configs)


_ENDINGS = (RuntimeError, TypeError, ValueError, KeyError, IndexError, AttributeError)
"""How a forward ends that was not made for what a probe asks of it."""


def _rope_kinds(text: PreTrainedConfig) -> set[str]:
    """Return every kind of rotary embedding that a configuration names, at any depth."""
    found: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            found.update(str(v) for k, v in value.items() if k in ("rope_type", "type"))
            for inner in value.values():
                look(inner)

    look(getattr(text, "rope_parameters", None))
    return found


def _probed(
    model: nn.Module, configs: tuple[PreTrainedConfig, ...], text: PreTrainedConfig
) -> Support:
    """Compare packed, shared and decoded logits with those of plain forwards."""
    device = next(model.parameters()).device
    count = int(text.vocab_size)
    mixed = [(7 * i * i + 3 * i + 2) % (count - 2) + 1 for i in range(24)]
    prefix, one, two = mixed[:10], mixed[10:17], mixed[17:22]
    own = Support(None, configs)

    def plain(ids: list[int]) -> torch.Tensor:
        row = torch.tensor([ids], device=device)
        logits: torch.Tensor = model(input_ids=row, use_cache=False).logits[0].float()
        return logits

    # Two rows behind a prefix, the first with two branches.
    kept: dict[int, KeysValues] = {}
    first = _Watched(Packed([(None, [Segment(len(prefix))])], kept=kept))
    ids = torch.tensor([prefix], device=device)
    told = {"input_ids": ids, "position_ids": torch.arange(10, device=device)[None]}
    alone = own.forward(model, first, **told).logits[0].float()
    shared = Prefix(len(prefix), dict(kept))
    segments = [Segment(3, (len(one) - 3, len(two))), Segment(len(two))]
    positions = torch.cat([s.positions(len(prefix)) for s in segments]).to(device)[None]
    ids = torch.tensor([[*one, *two, *two]], device=device)
    suffixes: dict[int, KeysValues] = {}
    layout = Packed([(shared, segments)], kept=suffixes)
    found = own.forward(model, layout, input_ids=ids, position_ids=positions).logits[0].float()
    theirs = [
        plain([*prefix, *one])[10:],
        plain([*prefix, *one[:3], *two])[13:],
        plain([*prefix, *two])[10:],
        plain([*prefix, *two, mixed[22]])[-1:],
    ]
    decoded = _decoded(own, model, shared, suffixes, two, mixed[22], device)
    if not torch.cat(theirs).isfinite().all():
        return Support("its logits are no numbers", configs)
    difference = (torch.cat([found, decoded]) - torch.cat(theirs)).abs().max()
    scale = torch.cat(theirs).abs().max().clamp(min=1.0)
    if not float(difference) <= _tolerance(model) * float(scale):
        return Support("its logits differ from those of its own attention", configs)
    refused = _windows(first.windows, text)
    if refused is not None or first.last is None:
        return Support(refused, configs)
    return Support(None, configs, _last_layer(model, first.last, configs, told, alone))


def _last_layer(
    model: nn.Module,
    attention: nn.Module,
    configs: tuple[PreTrainedConfig, ...],
    told: dict[str, torch.Tensor],
    logits: torch.Tensor,
) -> LastLayer | None:
    """Return the last layer, where what it leaves out changes nothing that is read."""
    found = last_layer(model, attention)
    if found is None:
        return None
    count = len(logits)
    read_M = torch.tensor([count // 2, count - 1])
    layout = Packed([(None, [Segment(count)])], read=read_M)
    try:
        picked = Support(None, configs, found).forward(model, layout, **told).logits[0].float()
    except _ENDINGS:
        return None
    difference = (picked[read_M] - logits[read_M]).abs().max()
    scale = logits.abs().max().clamp(min=1.0)
    return found if float(difference) <= _tolerance(model) * float(scale) else None


def _decoded(
    own: Support,
    model: nn.Module,
    shared: Prefix,
    suffixes: dict[int, KeysValues],
    two: Sequence[int],
    token: int,
    device: torch.device,
) -> torch.Tensor:
    """Return the logits of one decoded token behind the last segment of the probe."""
    size = len(two)
    buffers = {
        layer: (k[None, :, -size:].clone(), v[None, :, -size:].clone())
        for layer, (k, v) in suffixes.items()
    }
    positions = torch.arange(size, device=device)[None] + shared.length
    layout = Decoded([(shared, 1)], buffers, positions, column=size)
    here = torch.tensor([shared.length + size], device=device)
    layout.begin(here)
    out = own.forward(
        model, layout, input_ids=torch.tensor([[token]], device=device), position_ids=here[None]
    )
    logits: torch.Tensor = out.logits[0].float()
    return logits


def _tolerance(model: nn.Module) -> float:
    """Return what counts as rounding in the coarsest type that the model computes in."""
    # Quantised weights are multiplied in bf16, whatever the norms beside them are kept in.
    types = {p.dtype if p.is_floating_point() else torch.bfloat16 for p in model.parameters()}
    return max(TOLERANCE, 8 * max(float(torch.finfo(dtype).eps) for dtype in types))


def _windows(seen: dict[int, int | None], text: PreTrainedConfig) -> str | None:
    """Return what is wrong with the layers' windows, or None."""
    layers = int(text.num_hidden_layers)
    if len(seen) != layers:
        return f"{len(seen)} of {layers} layers attend through the interface"
    window = getattr(text, "sliding_window", None)
    if getattr(text, "use_sliding_window", True) is False:
        window = None
    kinds = getattr(text, "layer_types", None)
    expected = layers if kinds is None else list(kinds).count("sliding_attention")
    with_window = sum(w is not None for w in seen.values())
    if window is not None and with_window != expected:
        return f"{with_window} of {expected} sliding layers say how wide their window is"
    return None
