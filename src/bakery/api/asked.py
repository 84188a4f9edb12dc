"""What a person gives to the functions of `bakery`, checked: questions, prompts, numbers, paths."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from bakery.app.run import STAGES
from bakery.errors import ConfigError, GateError, RepoError
from bakery.paths import expanded
from bakery.records import Message, Prompt
from bakery.schema.data_sets import FILE_KINDS

Asked = str | Sequence[Message]
"""A question, or a conversation that ends with one."""

DTYPES = {"torch.bfloat16": "bf16", "torch.float16": "fp16", "torch.float32": "fp32"}


def messages(given: Any) -> tuple[Message, ...]:
    """Return a question as messages; a conversation is taken as it is."""
    if isinstance(given, str):
        return ({"role": "user", "content": str(given)},)
    if isinstance(given, Iterable) and not isinstance(given, bytes | Mapping):
        found = tuple(dict(m) for m in given if isinstance(m, Mapping) and "role" in m)
        if found and (not isinstance(given, Sequence) or len(found) == len(given)):
            return found
    raise ConfigError(
        f"this is neither a question nor a list of messages: {given!r:.80}",
        hint='A message is {"role": "user", "content": "..."}.',
    )


def stages(given: Sequence[str]) -> list[str]:
    """Return stages in their order; all of them where none is named."""
    if wrong := {str(stage) for stage in given} - set(STAGES):
        raise RepoError(
            f"no stage is called {', '.join(sorted(wrong))}",
            hint=f"There are: {', '.join(STAGES)}.",
        )
    return [stage for stage in STAGES if not given or stage in given]


def prompt(given: Any) -> Prompt:
    """Return a prompt: a text is one system message; messages are taken as they are."""
    if isinstance(given, str):
        return Prompt(({"role": "system", "content": str(given)},) if given else ())
    return Prompt(messages(given) if given != [] else ())


def to_bake(given: Any) -> Prompt:
    """Return the prompt to bake; one without a word, and the name of a file, are refused."""
    if isinstance(given, Path):
        try:
            given = expanded(given).read_text("utf-8").strip()
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(f"prompt: the file cannot be read: {error}") from error
    elif isinstance(given, str) and given.endswith((".md", ".txt")) and _is_file(given):
        raise ConfigError(
            f"prompt is the name of a file, {given}: its name would be baked",
            hint=f"Give Path({given!r}), or its text.",
        )
    if given == [] or (isinstance(given, str) and not given.strip()):
        raise ConfigError("prompt is empty: there is nothing to bake")
    return prompt(given)


def questions(given: Any) -> tuple[Path, list[dict[str, Any]]]:
    """Return the folder that files are seen from, and what writes the questions."""
    wrong = ConfigError(
        f"questions is a list of texts, a data file, or how many to write, not {given!r:.80}"
    )
    if isinstance(given, bool | bytes | float | Mapping):
        raise wrong
    if isinstance(given, Integral):
        if given < 1:
            raise ConfigError(f"questions={given}: at least one is needed")
        return Path.cwd(), [{"type": "oneshot_qs", "numq": int(given)}]
    if isinstance(given, str | Path):
        return _of_file(path(given, "questions").absolute(), given)
    if not isinstance(given, Iterable):
        raise wrong
    asked = list(given)
    texts = [one.get("question") if isinstance(one, Mapping) else one for one in asked]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ConfigError(
            "questions must be a list of at least one text",
            hint="Each is one user message: ['Who are you?', 'When do you open?']; or a row of "
            "`question` and values for the {variables} of the prompt.",
        )
    rows = [dict(one) if isinstance(one, Mapping) else str(one) for one in asked]
    unique = {repr(one): one for one in rows}
    return Path.cwd(), [{"type": "hardcoded", "questions": list(unique.values())}]


def many(given: Any) -> list[tuple[Message, ...]]:
    """Return many questions, each as messages."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ConfigError(
            f"questions is a list, not {given!r:.80}", hint="`chat` answers one question."
        )
    return [messages(one) for one in given]


def path(given: Any, what: str) -> Path:
    """Return a path as a person wrote it, ~ for home; ConfigError for what cannot be one."""
    try:
        found = expanded(given)
        with suppress(FileNotFoundError, NotADirectoryError):
            found.lstat()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f"{what} is not a path: {str(given)[:80]!r} ({error})") from error
    return found


def setting(key: str, value: Any) -> Any:
    """Return a setting as plain data: numbers of numpy and dtypes of torch are understood."""
    if str(value) in DTYPES:
        return DTYPES[str(value)]
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): setting(key, part) for name, part in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(setting(key, part) for part in value)
    if isinstance(value, list | tuple):
        return [setting(key, part) for part in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise ConfigError(f"{key} is a {type(value).__name__}, which no setting can be")


def number(
    value: Any, what: str, *, least: float, most: float = math.inf, whole: bool = False
) -> None:
    """Refuse what is not a number in a range; None is what nobody said."""
    if value is None:
        return
    kind = Integral if whole else Real
    if value is True or not isinstance(value, kind) or not least <= float(value) <= most:
        upto = "" if most == math.inf else f" to {most:g}"
        raise ConfigError(
            f"{what} is {'a whole number' if whole else 'a number'} from {least:g}"
            f"{upto or ' on'}, not {value!r:.40}"
        )


def sampling(
    *, max_tokens: Any = None, temperature: Any = None, top_p: Any = None, seed: Any = None
) -> None:
    """Refuse settings of answers that make no sense."""
    number(max_tokens, "max_tokens", least=1, whole=True)
    number(temperature, "temperature", least=0, most=2)
    number(top_p, "top_p", least=1e-6, most=1)
    number(seed, "seed", least=0, whole=True)


def stop(stopped: GateError) -> GateError:
    """Return why baking stopped, in the words of the call that it stopped."""
    hint = re.sub(r"`bgit run --allow (\w+)`", r'`allow=["\1"]`', stopped.hint or "")
    hint = hint.replace("`bgit check --sample` shows its answers. ", "")
    return GateError(stopped.message, hint=hint or None)


def _of_file(place: Path, given: str | Path) -> tuple[Path, list[dict[str, Any]]]:
    if not place.is_file():
        raise ConfigError(
            f"questions: there is no file {given}",
            hint=f"Give a data file ({', '.join(FILE_KINDS)}), a list, or a number.",
        )
    if not place.stat().st_size:
        raise ConfigError(f"questions: {given} is empty")
    return place.parent, [{"type": "from_dataset", "dataset": f"./{place.name}"}]


def _is_file(name: str) -> bool:
    try:
        return expanded(name).is_file()
    except (OSError, RuntimeError, ValueError):  # too long, a user unknown: not a path
        return False
