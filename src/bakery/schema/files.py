"""The whole of input.yml: read, checked, with the text of the template files it names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError, field_validator

from bakery import yaml_text
from bakery.errors import BakeryError, ConfigError
from bakery.schema.bakes import Bake
from bakery.schema.common import Name, Path, Section, remarks_in
from bakery.schema.data_sets import is_file, leaves_repository
from bakery.schema.generators import template_problem
from bakery.schema.prompts import TEACHER, PromptSection
from bakery.schema.targets import Target
from bakery.yaml_text import Places

MAX_TEMPLATE_BYTES = 1 << 20


class _File(Section):
    PROMPT: dict[Name, PromptSection] | None = None
    TARGET: tuple[Target, ...] | None = None
    BAKE: Bake | None = None

    @field_validator("TARGET", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What input.yml says, with the text of the template files it names."""

    prompts: Mapping[str, PromptSection] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    bake: Bake | None = None
    templates: Mapping[str, str] = field(default_factory=dict)
    places: Places = field(default_factory=Places)
    """Where in the file a key stands."""
    warnings: tuple[str, ...] = ()
    """What is accepted and done differently: a sentence each, with its place."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 of each data file that a generator reads, by its path."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is configured, as after a bake."""
        return not self.prompts and not self.targets and self.bake is None


def load(
    text: str, *, source: str = "input.yml", read: Callable[[str], bytes] | None = None
) -> InputSpec:
    """Return what a file says; `read` gives the bytes of a template path (from git, say).

    Raises ConfigError with line and column of every problem at once.
    """
    _refuse_secrets(text, source)
    document = yaml_text.parse(text, source)
    if document is None:
        return InputSpec()
    places = Places(document, source)
    if not isinstance(document, Mapping):
        raise ConfigError(
            f"{source}:1:1: expected the sections PROMPT, TARGET and BAKE",
            hint="`bgit init` writes an example to start from.",
        )
    filled = {key: value for key, value in yaml_text.plain(document).items() if value is not None}
    try:
        file = _File.model_validate(filled)
    except ValidationError as error:
        raise yaml_text.validation_error(error, document, source, _File) from error
    targets, prompts = file.TARGET or (), file.PROMPT or {}
    if problems := [*_prompt_problems(file, places), *_name_problems(targets, places)]:
        raise ConfigError(
            "\n".join(problems), hint=f"Mend {source} and run the same command again."
        )
    warnings = [*remarks_in(file), *_unused_prompts(targets, prompts)]
    return InputSpec(
        prompts,
        targets,
        file.BAKE,
        _templates(targets, places, read),
        places,
        tuple(f"{places.at(*path, key=True)}: {sentence}" for path, sentence in warnings),
        _data_files(targets, places, read),
    )


def _prompt_problems(file: _File, places: Places) -> Iterator[str]:
    """Yield what keeps a target from having its prompts, each with its place."""
    prompts = file.PROMPT or {}
    for number, target in enumerate(file.TARGET or ()):
        for key, former in (("teacher", "u"), ("student", "v")):
            name, path = getattr(target, key), ("TARGET", number, f"{key}_prompt")
            chosen = next((k for k in (f"{key}_prompt", former) if getattr(target, k)), None)
            if name in prompts or (key == "student" and not chosen):
                continue
            if chosen:
                path = ("TARGET", number, chosen)
                advice = _advice(name, list(prompts))
                yield f"{places.at(*path)}: there is no PROMPT.{name}: {advice}"
            elif not prompts:
                yield f"{places.at('TARGET', number, key=True)}: TARGET needs PROMPT.teacher"
            elif guess := yaml_text.nearest(name, list(prompts)):
                at = places.at("PROMPT", guess, key=True)
                yield f"{at}: unknown key `PROMPT.{guess}`: did you mean `{name}`?"
            else:
                yield (
                    f"{places.at('PROMPT', key=True)}: PROMPT.{name} is missing: write it, or "
                    f"choose with TARGET.{key}_prompt ({', '.join(prompts)})"
                )
    teachers = {target.teacher for target in file.TARGET or ()} or {TEACHER}
    for name in sorted(teachers & set(prompts)):
        if not prompts[name].prompt().messages and not prompts[name].tools:
            at = places.at("PROMPT", name)
            yield f"{at}: PROMPT.{name} has no messages: there is nothing to bake"


def _advice(name: str, known: Sequence[str]) -> str:
    guess = yaml_text.nearest(name, known)
    return f"did you mean `{guess}`?" if guess else f"known: {', '.join(sorted(known)) or 'none'}"


def _name_problems(targets: tuple[Target, ...], places: Places) -> Iterator[str]:
    seen: set[str] = set()
    for number, target in enumerate(targets):
        if target.name in seen:
            at = places.at("TARGET", number, "name")
            yield f"{at}: another target is called {target.name!r} already: give each its `name`"
        seen.add(target.name)


def _unused_prompts(
    targets: tuple[Target, ...], prompts: Mapping[str, PromptSection]
) -> Iterator[tuple[Path, str]]:
    used = {name for target in targets for name in (target.teacher, target.student)}
    for name in prompts:
        if targets and name not in used:
            yield ("PROMPT", name), f"PROMPT.{name} is in no target: nothing is made of it"


def _templates(
    targets: tuple[Target, ...], places: Places, read: Callable[[str], bytes] | None
) -> dict[str, str]:
    """Read and check the question templates that generators name."""
    texts: dict[str, str] = {}
    for number, target in enumerate(targets):
        for index, generator in enumerate(target.generators):
            if path := getattr(generator, "template_path", None):
                at = places.at("TARGET", number, "generators", index, "template_path")
                complete = generator.type != "custom"
                texts[path] = _template_text(path, at, read, complete=complete)
    return texts


def _template_text(
    path: str, where: str, read: Callable[[str], bytes] | None, *, complete: bool
) -> str:
    raw = _bytes(path, f"{where}: template", "template_path", read)
    if len(raw) > MAX_TEMPLATE_BYTES:
        raise ConfigError(f"{where}: template {path!r} is larger than 1 MiB")
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: template {path!r} is not UTF-8 text") from error
    if problem := template_problem(text, complete=complete):
        raise ConfigError(f"{where}: template {path!r} {problem}")
    return text


def _data_files(
    targets: tuple[Target, ...], places: Places, read: Callable[[str], bytes] | None
) -> dict[str, str]:
    """Return what each data file contains, as a digest: it is read when questions are drawn."""
    digests: dict[str, str] = {}
    for number, target in enumerate(targets):
        for index, generator in enumerate(target.generators):
            path = getattr(generator, "dataset", None)
            if path is not None and is_file(path):
                at = places.at("TARGET", number, "generators", index, "dataset")
                data = _bytes(path, f"{at}: data file", "dataset", read)
                digests[path] = hashlib.sha256(data).hexdigest()
    return digests


def _bytes(path: str, what: str, key: str, read: Callable[[str], bytes] | None) -> bytes:
    where = what.rpartition(": ")[0]
    if leaves_repository(path):
        raise ConfigError(
            f"{where}: {key} {path!r} leaves the repository",
            hint="Put the file beside input.yml, templates e.g. in templates/.",
        )
    if read is None:
        raise ConfigError(f"{where}: files cannot be read here")
    try:
        return read(path)
    except (OSError, BakeryError) as error:
        raise ConfigError(
            f"{what} {path!r} cannot be read: {error}",
            hint=f"Write it, then `bgit add {path}`.",
        ) from error


_SECRETS = re.compile(
    r"sk-[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}"
    r"|AIza[A-Za-z0-9_-]{30,}|xox[abprs]-[A-Za-z0-9-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def _refuse_secrets(text: str, source: str) -> None:
    """Refuse what looks like an API key: git history would keep it for ever."""
    for number, line in enumerate(text.splitlines(), start=1):
        match = _SECRETS.search(line)
        if match:
            raise ConfigError(
                f"{source}:{number}:{match.start() + 1}: this looks like an API key "
                f"({match.group()[:4]}…)",
                hint="Take it out: git keeps every version. Keys are read from the environment, "
                "e.g. OPENAI_API_KEY. If it was committed before, revoke it.",
            )
