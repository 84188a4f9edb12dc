"""The whole of input.yml: read, checked, with the text of the template files it names."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from bakery.brief import first
from bakery.defaults import LATEST
from bakery.errors import ConfigError
from bakery.schema.bakes import Bake
from bakery.schema.common import Name, Path, Section, remarks_in
from bakery.schema.inheritance import Sections, filled_in, named
from bakery.schema.problems import Problems, advice
from bakery.schema.prompts import TEACHER, PromptSection, system
from bakery.schema.sources import Read, Sources
from bakery.schema.targets import Target
from bakery.schema.variables import Rows, Variables
from bakery.variables import Values
from bakery.yaml import text as yaml_text
from bakery.yaml.text import Places


class File(Section):
    """The three sections of input.yml, all of them optional."""

    PROMPT: Annotated[
        dict[Name, PromptSection] | None,
        Field(description="Prompts by name: `teacher` is baked in, `student` will trigger it."),
    ] = None
    TARGET: Annotated[
        tuple[Target, ...] | None,
        Field(description="Who is asked what, and how it is answered: one target, or a list."),
    ] = None
    BAKE: Annotated[Bake | None, Field(description="One training run over the targets.")] = None
    DEFAULTS: Annotated[
        int | None,
        Field(
            ge=1,
            le=LATEST,
            strict=True,
            description="The version of the defaults to plan by. Default: what .bread says, which "
            f"in a new repository is {LATEST}.",
        ),
    ] = None

    @field_validator("DEFAULTS", mode="before")
    @classmethod
    def _are_known_here(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool) and value > LATEST:
            raise ValueError(
                f"this bakery knows the defaults up to version {LATEST}: upgrade it, or write one "
                "that it knows"
            )
        return value

    @field_validator("PROMPT", mode="before")
    @classmethod
    def _short_or_unsaid(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {
            name: {} if prompt is None else system(prompt) if isinstance(prompt, str) else prompt
            for name, prompt in value.items()
        }

    @field_validator("TARGET", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, list | tuple | Mapping):
            raise ValueError("expected keys with values here, or a list of such")
        return [value] if isinstance(value, Mapping) else value


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What input.yml says, with the text of the files it names."""

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
    defaults: int | None = None
    """The version of the defaults that the file asks for. None: the repository's."""
    contents: Mapping[str, str] = field(default_factory=dict)
    """What the files of messages say, by their paths; `prompts` holds it already."""
    variables: Mapping[str, Values] = field(default_factory=dict)
    """What the first row says in the place of each variable, by the target's name."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Every file that input.yml names, as it is written there."""
        return tuple(dict.fromkeys((*self.contents, *self.templates, *self.files)))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is configured, as after a bake."""
        return not self.prompts and not self.targets and self.bake is None


def load(
    text: str,
    *,
    source: str = "input.yml",
    read: Read | None = None,
    earlier: Callable[[], Sections] = Sections,
    rows: Rows | None = None,
) -> InputSpec:
    """Return what a file says.

    `read` gives the bytes of a template's path (from git, say), `earlier` the sections that
    a `template` may name, and `rows` what a data file holds. Raises ConfigError with line and
    column of every problem at once.
    """
    refuse_secrets(text, source)
    document = yaml_text.parse(text, source)
    if document is None:
        return InputSpec()
    places = Places(document, source)
    if not isinstance(document, Mapping):
        raise ConfigError(
            f"{source}:1:1: expected the sections PROMPT, TARGET and BAKE",
            hint="`bgit init` writes an example to start from.",
        )
    problems = Problems(places)
    _check_numbers(document, problems)
    data = filled_in(yaml_text.plain(document), earlier, problems)
    file = _validated({key: value for key, value in data.items() if key != "TARGET"}, problems)
    right = _right_targets(data.get("TARGET"), problems)
    _check_names(right, problems)
    sources = Sources(read, problems)
    prompts = sources.filled(file.PROMPT or {})
    if not problems.are_in("PROMPT"):
        _check_prompts(prompts, right, problems)
    sources.add(right)
    found = Variables(prompts, sources, rows, problems)
    if not problems.are_in("PROMPT"):
        found.look(right)
    problems.raise_any()
    for path, content in sources.contents.items():
        refuse_secrets(content, path)
    targets = tuple(right.values())
    file = file.model_copy(update={"TARGET": targets})
    warnings = [*remarks_in(file), *_unused_prompts(targets, prompts), *found.remarks]
    warnings.sort(key=lambda warning: yaml_text.position(document, warning[0], key=True))
    return InputSpec(
        prompts,
        targets,
        file.BAKE,
        sources.templates,
        places,
        tuple(f"{places.at(*path, key=True)}: {sentence}" for path, sentence in warnings),
        sources.data,
        file.DEFAULTS,
        sources.contents,
        found.values,
    )


def written(
    text: str, earlier: Sections
) -> tuple[dict[str, dict[str, Any]], dict[str, Any] | None]:
    """Return the target sections of a file by name, and its bake section, templates filled in."""
    try:
        document = yaml_text.plain(yaml_text.parse(text, "input.yml"))
    except ConfigError:
        return {}, None
    if not isinstance(document, Mapping):
        return {}, None
    whole = filled_in(document, lambda: earlier, Problems(Places()))
    bake = whole.get("BAKE")
    return named(whole.get("TARGET")), dict(bake) if isinstance(bake, Mapping) else None


def _validated(data: Mapping[str, Any], problems: Problems) -> File:
    """Return the sections that are right; what is wrong with the others is noted."""
    right: dict[str, Any] = {}
    for key, value in data.items():
        if value is None and key in File.model_fields:
            continue
        try:
            right[key] = getattr(File.model_validate({key: value}), key)
        except ValidationError as error:
            problems.add_errors(error, File)
    return File.model_construct(**right)


def _right_targets(written: Any, problems: Problems) -> dict[int, Target]:
    """Return the targets that are right by their place in the list."""
    listed = [written] if isinstance(written, Mapping) else written
    if not isinstance(listed, list):
        return dict(enumerate(_validated({"TARGET": written}, problems).TARGET or ()))
    right: dict[int, Target] = {}
    for number, target in enumerate(listed):
        try:
            right[number] = Target.model_validate(target)
        except ValidationError as error:
            problems.add_errors(error, File, ("TARGET", number))
    return right


def _check_numbers(document: Any, problems: Problems, path: Path = ()) -> None:
    """Note numbers that no setting can be."""
    inside: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(document, Mapping):
        inside = iter(document.items())
    elif isinstance(document, list):
        inside = iter(enumerate(document))
    for key, value in inside:
        here = (*path, key)
        name = ".".join(map(str, here))
        if isinstance(value, float) and not math.isfinite(value):
            problems.add(f"{name}: expected a finite number (got {value})", *here)
        elif isinstance(value, int) and abs(value) >= 1 << 63:
            digits = math.ceil(value.bit_length() * math.log10(2))
            problems.add(f"{name}: a number of about {digits} digits is too large", *here)
        _check_numbers(value, problems, here)


def _check_prompts(
    prompts: Mapping[str, PromptSection], targets: Mapping[int, Target], problems: Problems
) -> None:
    """Note what keeps a target from having its prompts."""
    for number, target in targets.items():
        for kind, former in (("teacher", "u"), ("student", "v")):
            name = getattr(target, f"{kind}_name")
            if name is None:
                if (text := getattr(target, kind)) in prompts:
                    told = (
                        f"TARGET.{kind} is a text, and {text!r} the name of a prompt: "
                        f"`{kind}_prompt: {text}` takes that"
                    )
                    problems.add(told, "TARGET", number, kind)
                continue
            chosen = next((k for k in (f"{kind}_prompt", former) if getattr(target, k)), None)
            if name in prompts or (kind == "student" and not chosen):
                continue
            if chosen:
                told = f"there is no PROMPT.{name}: {advice(name, list(prompts))}"
                problems.add(told, "TARGET", number, chosen)
            elif not prompts:
                problems.add("TARGET needs PROMPT.teacher", "TARGET", number, key=True)
            elif guess := yaml_text.nearest(name, list(prompts)):
                told = f"unknown key `PROMPT.{guess}`: did you mean `{name}`?"
                problems.add(told, "PROMPT", guess, key=True)
            else:
                told = (
                    f"PROMPT.{name} is missing: write it, or choose another with "
                    f"TARGET.{kind}_prompt ({', '.join(prompts)})"
                )
                problems.add(told, "PROMPT", key=True)
    teachers = {target.teacher_name for target in targets.values()} if targets else {TEACHER}
    for name in sorted(prompts):
        if name in teachers and not prompts[name].prompt().messages and not prompts[name].tools:
            told = f"PROMPT.{name} has no messages: there is nothing to bake"
            problems.add(told, "PROMPT", name)


def _check_names(targets: Mapping[int, Target], problems: Problems) -> None:
    seen: set[str] = set()
    for number, target in targets.items():
        if target.name in seen:
            told = f"another target is called {target.name!r} already: give each its `name`"
            problems.add(told, "TARGET", number, "name")
        seen.add(target.name)


def _unused_prompts(
    targets: Sequence[Target], prompts: Mapping[str, PromptSection]
) -> Iterator[tuple[Path, str]]:
    used = {name for target in targets for name in (target.teacher_name, target.student_name)}
    for name in prompts:
        if targets and name not in used:
            yield ("PROMPT", name), f"PROMPT.{name} is in no target: it has no effect"


_SECRETS = re.compile(
    r"sk-[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}"
    r"|AIza[A-Za-z0-9_-]{30,}|xox[abprs]-[A-Za-z0-9-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def secrets_in(text: str, source: str) -> list[str]:
    """Return where a text has what looks like an API key, a sentence each."""
    return [
        f"{source}:{number}:{match.start() + 1}: this looks like an API key ({match.group()[:4]}…)"
        for number, line in enumerate(text.split("\n"), start=1)
        for match in _SECRETS.finditer(line)
    ]


def refuse_secrets(text: str, source: str) -> None:
    """Refuse what looks like an API key: git history would keep it for ever."""
    found = secrets_in(text, source)
    if found:
        raise ConfigError(
            first(found, source),
            hint="Take it out: git keeps every version. Keys are read from the environment, "
            "e.g. OPENAI_API_KEY. If it was committed before, revoke it.",
        )
