"""What a `BAKE` mixes: targets by name, a share of all earlier ones, and what holds the parent."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bakery.schema.common import Number, Section

Replay = Annotated[
    Number,
    Field(
        ge=0,
        lt=1,
        allow_inf_nan=False,
        description="Share of the answers of an epoch that are those of all earlier targets of "
        "the chain, so that they are not forgotten. 0: none are.",
    ),
]
Retention = Annotated[
    Number,
    Field(
        ge=0,
        allow_inf_nan=False,
        description="Weight of KL(parent ‖ student), both without a prompt, on questions where the "
        "prompt should not matter: anchors of the mix, or else general ones. 0: none.",
    ),
]


class Dataset(Section):
    """A share of the mix: a target of this file, or one of an earlier bake."""

    target: Annotated[
        str,
        Field(
            description="A TARGET of this file by its name, or an earlier one of this branch by "
            "its full name, its name alone (the newest is meant) or its id."
        ),
    ]
    weight: Annotated[
        Number,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="Its part of the mix, in proportion to the other weights.",
        ),
    ] = 1.0
