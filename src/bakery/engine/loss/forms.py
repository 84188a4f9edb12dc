"""In which form a teacher is kept: all that it says, or what one loss needs of that."""

from __future__ import annotations

from enum import Enum


class Form(Enum):
    """What the numbers of a teacher at a position are; their width does not tell."""

    WHOLE = "whole"
    """Hidden states that the head turns into logits, else logits: enough for any loss."""
    MOMENTS = "moments"
    """See `moments`: enough for forward KL."""
    LIKELIEST = "likeliest"
    """See `likeliest`: enough for the loss that reads no other tokens."""
    OTHER = "other"
    """Hidden states (or logits) of another model, whose own head turns them into logits: enough
    for any loss. See `other_head`."""
