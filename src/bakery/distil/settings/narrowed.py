"""What of the flat settings the engine is told: no more than each part of it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from transformers import PreTrainedConfig

from bakery.data.rows import Row
from bakery.engine.text.chat import Chat
from bakery.engine.text.pairs import ContextSettings
from bakery.engine.training.rounds import Rounds
from bakery.identity import SamplingSettings
from bakery.reporting import Reporter
from bakery.settings.config import BakeryConfig, ContextConfig


def views(context: ContextConfig) -> ContextSettings:
    """Return what teacher and student see of a row."""
    pattern = context.target_content_pattern
    return ContextSettings(
        prefix=context.prefix or (),
        student_retained_turns=context.student_retained_turns,
        target_roles=frozenset(context.target_roles),
        target_content_pattern=re.compile(pattern, re.MULTILINE) if pattern else None,
        target_scope="match" if context.target_scope == "match" else "message",
    )


def sampling(args: BakeryConfig) -> SamplingSettings:
    """Return how open rows are answered."""
    return SamplingSettings(
        num_traj_per_stimulus=args.num_trajectories,
        max_tokens=args.trajectory_length,
        temperature=args.sampling_temperature,
        top_p=args.top_p,
        top_k=args.top_k,
        min_p=args.min_p,
        repetition_penalty=args.repetition_penalty,
    )


def rounds(
    rows: Sequence[Row],
    chat: Chat,
    context: ContextSettings,
    args: BakeryConfig,
    config: PreTrainedConfig,
    reporter: Reporter,
) -> Rounds:
    """Return the rounds that training draws from; `config` says how long a row may be."""
    text = config.get_text_config()
    longest = int(getattr(text, "max_position_embeddings", 0) or 1 << 30)
    most = min(args.max_seq_length or longest, longest)
    return Rounds(
        rows, chat, context, sampling(args), seed=args.seed, max_length=most, reporter=reporter
    )
