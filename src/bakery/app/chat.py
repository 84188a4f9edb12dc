"""From a model's name to whoever answers: what it means (`meaning`) is loaded only here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bakery.app import meaning, outputs
from bakery.app.meaning import Meant, Prompts, nothing_to_scale
from bakery.conversation import Voice
from bakery.errors import ConfigError
from bakery.records import Prompt
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.backends.chatting import LocalSpeaker
    from bakery.backends.local import LocalModel
    from bakery.engine.models.models import BaseModel
    from bakery.engine.models.strength import Dial, Strength


def _as_baked() -> Strength:
    from bakery.engine.models.strength import AS_BAKED

    return AS_BAKED


@dataclass(slots=True)
class Opened:
    """A model in memory. `dial` turns its bakes up and down; None: it carries none."""

    name: str
    local: LocalModel
    dial: Dial | None = None
    whole_chain: bool = False
    strength: Strength = field(default_factory=_as_baked)

    def scale(self, strength: float) -> None:
        """Have more or less of the last bake, of all bakes where `whole_chain`."""
        meaning.check_strength(strength)
        if self.dial is None and strength != 1:
            raise nothing_to_scale(self.name)
        own = strength if self.whole_chain else 1.0
        self.strength = type(self.strength)(strength, own)

    def turn(self, strength: Strength | None = None) -> None:
        """Make the loaded weights those of a strength; None: of its own."""
        if self.dial is not None:
            self.dial.turn(strength or self.strength)

    def speaker(self) -> LocalSpeaker:
        """Return who answers as this model at its strength."""
        from bakery.backends.chatting import LocalSpeaker

        found = LocalSpeaker(self.name, self.local, dial=self.dial, whole_chain=self.whole_chain)
        if self.dial is not None:
            found.scale(self.strength.own)
        return found


def opened(
    meant: Meant,
    *,
    strength: float | None = None,
    whole_chain: bool = False,
    thinking: bool | None = None,
    loaded: BaseModel | None = None,
    reporter: Reporter,
) -> Opened:
    """Load a model; `loaded` is its base, where that is in memory already.

    `strength` None: as its name says. `thinking` None: as its template has it. `whole_chain`: the
    strength is that of the bakes it was built on, too.
    """
    if strength is None:
        strength = meant.strength
    elif meant.side is not None and meant.side.strength not in (None, strength):
        raise ConfigError(
            f"{meant.name} names one strength, and {strength:g} is another",
            hint="Say it once: behind the name, or as the strength.",
        )
    meaning.check_strength(strength)
    if meant.folder is None and strength != 1:
        raise nothing_to_scale(meant.name)
    reporter.note(f"loading {meant.name}")

    from bakery.backends.chatting import set_thinking
    from bakery.backends.local import LocalModel
    from bakery.engine.models.strength import Dial

    base = loaded or outputs.load(meant.base, meant.folder, reporter=reporter)
    local = LocalModel(base, name=meant.name, parent=meant.folder)
    if thinking is not None:
        set_thinking(local, thinking)
    dial = Dial(local.model, meant.folder) if meant.folder else None
    found = Opened(meant.name, local, dial, whole_chain)
    found.scale(strength)
    return found


def voices(
    meant: Meant,
    *,
    strength: float | None = None,
    whole_chain: bool = False,
    thinking: bool | None = None,
    taught: Prompts | None = None,
    reporter: Reporter,
) -> tuple[Sequence[Voice], Sequence[Voice]]:
    """Load a model and return it alone, and the base, the prompted parent and it side by side.

    `taught` None: there are no sides. `thinking` None: as the template has it. `whole_chain`: the
    strength is that of the bakes it was built on, too.
    """
    found = opened(
        meant, strength=strength, whole_chain=whole_chain, thinking=thinking, reporter=reporter
    )
    itself = found.speaker()
    behind = taught.teacher if taught and meant.is_prompted else Prompt()
    alone = [Voice("", itself, behind)]
    if taught is None or taught.by is not None:
        return alone, ()
    parent = str(meant.bake.parent) if meant.bake and meant.bake.parent else meant.base.name
    from bakery.backends.chatting import LocalSpeaker
    from bakery.engine.models.strength import AS_BASE, AS_PARENT

    local, dial = found.local, found.dial
    bare = LocalSpeaker(meant.base.name, local, dial=dial, at=AS_BASE, scalable=False)
    teacher = LocalSpeaker(parent, local, dial=dial, at=AS_PARENT, scalable=False)
    return alone, [
        Voice("base", bare, taught.student),
        Voice("prompted", teacher, taught.teacher, fixed=True),
        Voice("baked", itself, taught.student),
    ]
