"""A flat YAML file and flags over it, read into the four dataclasses of `config`.

Flags are laid over the file before anything is made of either, so a flag does all that the same
line in the file would do. Every problem is reported at once, at its line or flag.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any

from bakery.brief import first
from bakery.data import corpus
from bakery.distil.settings import flags, renamed
from bakery.errors import ConfigError
from bakery.settings import checks
from bakery.settings.checks import Problem
from bakery.settings.config import (
    BakeryConfig,
    ContextConfig,
    DataConfig,
    LoraConfig,
    context_of,
    hints,
)
from bakery.settings.prefix import read_text
from bakery.settings.typed import typed
from bakery.yaml import text as yaml_text

PARTS: tuple[type, ...] = (ContextConfig, BakeryConfig, DataConfig, LoraConfig)
_CHECKS: dict[type, Callable[[Mapping[str, Any]], list[Problem]]] = {
    ContextConfig: checks.context,
    BakeryConfig: checks.training,
    DataConfig: checks.data,
    LoraConfig: checks.lora,
}


WRITTEN = "# data: "
"""What a configuration that a run left behind begins with."""

_UNUSED = ("per_device_eval_batch_size", "eval_accumulation_steps", "sequential_eval")


@dataclass(frozen=True)
class Settings:
    """Everything one run was told."""

    training: BakeryConfig
    context: ContextConfig
    data: DataConfig
    lora: LoraConfig
    dry_run: bool
    given: frozenset[str]
    """Names that the file or a flag sets, be it to the default."""
    notes: tuple[str, ...]
    """What people should know: deprecated, renamed or ignored settings."""
    source: Path | None
    text: str
    """The file as it was written; empty without one."""

    def snapshot(self) -> dict[str, Any]:
        """Return a flat configuration that does the same again: the given, and our defaults."""
        parts = (self.context, self.training, self.data, self.lora)
        found: dict[str, Any] = {}
        for part in parts:
            for item in fields(part):
                if item.name in self.given or "group" in item.metadata:
                    found[item.name] = _plain(getattr(part, item.name))
        if found["prefix_messages"] is not None:
            for name in checks.EXCLUSIVE[0]:
                found[name] = found[name] if name == "prefix_messages" else None
        if found["warmup_ratio"] is not None:
            found.pop("warmup_steps", None)
        for name in ("auto_install_optional_deps", *_UNUSED):
            found.pop(name, None)
        # Keys are never written: output_dir may be pushed to a hub.
        return {
            name: value
            for name, value in found.items()
            if value is not None and not name.endswith("_token")
        }


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as it was written, and how to say where."""

    value: Any
    where: str
    document: Any = None

    def at(self, name: str, path: Sequence[str | int]) -> str:
        if self.document is None:
            return self.where
        line, column = yaml_text.position(self.document, [name, *path])
        return f"{self.where}:{line}:{column}"


def parse(argv: Sequence[str]) -> Settings:
    """Read `--config FILE` and the flags over it; `--help` and `--version` are the caller's."""
    notes: list[str] = []
    types = known_types()
    line = flags.read(argv, types)
    source = next((Path(flag.value) for flag in reversed(line) if flag.name == "config"), None)
    text = "" if source is None else read_text(source)
    from_file = {} if source is None else _file_values(text, source, types)
    from_flags = {f.name: _Given(f.value, f.spelled) for f in line if f.name != "config"}
    if text.startswith(WRITTEN) and "defaults" not in {**from_file, **from_flags}:
        # It was left by a run of before defaults had versions.
        from_file["defaults"] = _Given(1, str(source))
    if not from_file and not from_flags:
        raise ConfigError(
            "nothing to bake" if source is None else f"{source} is empty",
            hint="Give a configuration: bakery --config examples/basic.yaml",
        )
    given = _today(_laid_over(from_file, from_flags, notes), notes)
    values = _typed_values(given)
    dry_run = bool(values.pop("dry_run", False))
    _check(values, given)
    made = _make(values, given, notes)
    return Settings(
        training=made[BakeryConfig],
        context=made[ContextConfig],
        data=made[DataConfig],
        lora=made[LoraConfig],
        dry_run=dry_run,
        given=frozenset(values),
        notes=tuple(dict.fromkeys(notes)),
        source=source,
        text=text,
    )


def known_types() -> dict[str, Any]:
    """Return every name that a file or a flag may give, with its type."""
    ours: dict[str, Any] = {name: hint for part in PARTS for name, hint in hints(part).items()}
    older = {name: ours[now] for name, now in renamed.RENAMED.items() if now in ours}
    gone = dict.fromkeys(renamed.WITHOUT_EFFECT, bool | str | None)
    extra = {"config": str, "dry_run": bool, "group_by_length": bool}
    return gone | older | extra | ours


def default_of(item: Field[Any]) -> Any:
    """Return what a field is when nothing is said."""
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


def _file_values(text: str, source: Path, types: Mapping[str, Any]) -> dict[str, _Given]:
    document = yaml_text.parse(text, str(source))
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(
            f"{source}: expected `name: value` lines, got {type(document).__name__}",
            hint="`bakery --help` lists every name.",
        )
    problems = []
    for name in document:
        if name not in types or name == "config":
            line, column = yaml_text.position(document, [name], key=True)
            guess = yaml_text.nearest(str(name), list(types))
            advice = f": did you mean `{guess}`?" if guess else ""
            problems.append(f"{source}:{line}:{column}: unknown key `{name}`{advice}")
    if problems:
        raise ConfigError(first(problems, source), hint="`bakery --help` lists every name.")
    plain = yaml_text.plain(document)
    return {name: _Given(value, str(source), document) for name, value in plain.items()}


def _laid_over(
    below: Mapping[str, _Given], above: Mapping[str, _Given], notes: list[str]
) -> dict[str, _Given]:
    """Return the file's values under the flags'; a flag also replaces what it contradicts."""
    kept = dict(below)
    for group in checks.EXCLUSIVE:
        flag = next((name for name in group if name in above), None)
        for name in [n for n in group if flag and n in kept and n not in above]:
            if kept.pop(name).value is not None:
                notes.append(f"--{flag} takes the place of {name} in the file")
    return kept | dict(above)


def _today(given: Mapping[str, _Given], notes: list[str]) -> dict[str, _Given]:
    """Return the values by the names that the installed transformers uses."""
    known = [name for part in PARTS for name in hints(part)]
    found: dict[str, _Given] = {}
    for name, value in given.items():
        now = renamed.renamed(name, known)
        if renamed.has_no_effect(name, known):
            notes.append(f"{name} has no effect in this version of transformers")
        elif name == "group_by_length":
            if _is_on(name, value):
                found["train_sampling_strategy"] = _Given("group_by_length", value.where)
        elif now != name and now in given:
            raise ConfigError(
                f"{value.at(name, ())}: {name} is the former name of {now}, which is also given",
                hint=f"Take {name} out.",
            )
        else:
            found[now] = value
    return found


def _is_on(name: str, given: _Given) -> bool:
    try:
        return bool(typed(given.value, bool))
    except ValueError as error:
        raise ConfigError(
            f"{given.at(name, ())}: {name}: {error}", hint="Write true or false."
        ) from error


def _typed_values(given: Mapping[str, _Given]) -> dict[str, Any]:
    types = known_types()
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, entry in given.items():
        if entry.value is None and entry.document is not None:
            continue  # `name:` with nothing behind it says nothing
        try:
            found[name] = typed(entry.value, types[name])
        except ValueError as error:
            problems.append(f"{entry.at(name, ())}: {name}: {error}")
    if problems:
        raise ConfigError("\n".join(problems), hint=_HINT)
    return found


def _check(values: dict[str, Any], given: Mapping[str, _Given]) -> None:
    """Refuse what makes no sense, all of it at once, and each at its place."""
    found: list[Problem] = []
    for group in checks.EXCLUSIVE:
        named = [name for name in group if name in values]
        found += [checks.contradiction(named[0], name) for name in named[1:]]
    dtype = values.get("torch_dtype")
    if dtype is not None:
        values["torch_dtype"] = checks.DTYPES.get(dtype, dtype)
    for part in PARTS:
        whole = {f.name: values.get(f.name, default_of(f)) for f in fields(part)}
        found += _CHECKS[part](whole)
    if "dataset" not in values and "training_prompts" not in values:
        found.append(Problem((), "no data: give dataset or training_prompts"))
    if found:
        raise ConfigError("\n".join(_line(problem, given) for problem in found), hint=_HINT)


def _line(problem: Problem, given: Mapping[str, _Given]) -> str:
    if not problem.path:
        return problem.text
    name = str(problem.path[0])
    text = f"{problem.name}: {problem.text}"
    if name not in given:
        return text
    missing = _beside(problem.path, given[name])
    return f"{given[name].at(name, problem.path[1:])}: {text}{missing}"


def _beside(path: Sequence[str | int], entry: _Given) -> str:
    """Return the way out where a file is missing here, but lies beside the configuration."""
    if entry.document is None or len(path) != 1 or not isinstance(entry.value, str):
        return ""
    near = Path(entry.where).parent / entry.value
    if Path(entry.value).exists() or not near.exists():
        return ""
    return f" (paths count from the current folder; {near} exists)"


def _make(
    values: Mapping[str, Any], given: Mapping[str, _Given], notes: list[str]
) -> dict[type, Any]:
    """Build the four dataclasses; what they warn of becomes a note."""
    made: dict[type, Any] = {}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for part in PARTS:
            mine = {f.name: values[f.name] for f in fields(part) if f.name in values}
            try:
                made[part] = part(**mine)
            except (ValueError, TypeError, ImportError, OSError, RuntimeError) as error:
                raise _refused_by_transformers(error, given) from error
        made[ContextConfig] = context_of(made[BakeryConfig], made[ContextConfig])
        if made[DataConfig].corpus_file is not None:
            made[ContextConfig] = _with_corpus(made[ContextConfig], made[DataConfig])
    notes += [str(warning.message) for warning in warned]
    if values.get("auto_install_optional_deps"):
        notes.append("auto_install_optional_deps is ignored: nothing is installed at run time")
    for name in _UNUSED:
        if name in given:
            notes.append(f"{name} is ignored: evaluation cuts its batches by tokens")
    for name, kind in (("loss_top_k", "topk"), ("jsd_beta", "jsd")):
        training = made[BakeryConfig]
        if training.loss_type != kind and getattr(training, name) != getattr(BakeryConfig, name):
            notes.append(f"{name} has no effect: loss_type is {training.loss_type}, not {kind}")
    if values.get("trust_remote_code"):
        notes.append("trust_remote_code: Python code that comes with the model will run")
    if values.get("remove_unused_columns"):
        notes.append("remove_unused_columns stays false: the rows bring columns no model reads")
    return made


def _with_corpus(context: ContextConfig, data: DataConfig) -> ContextConfig:
    assert data.corpus_file is not None
    text = corpus.load_corpus(data.corpus_file, data.corpus_format)
    prompt = corpus.build_system_prompt(
        text, data.system_prompt_template, corpus_format=data.corpus_format
    )
    message = {"role": "system", "content": prompt}
    return ContextConfig(**{**vars(context), "prefix_messages": [message]})


def _refused_by_transformers(error: Exception, given: Mapping[str, _Given]) -> ConfigError:
    """Put what transformers says at the setting it speaks of."""
    named = [name for name in given if name in str(error)]
    where = [f"{given[name].at(name, ())}: " for name in sorted(named, key=len)[-1:]]
    return ConfigError("".join([*where, str(error)]), hint=_HINT)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, str | int | float | bool | None):
        return value
    return value.to_dict() if hasattr(value, "to_dict") else str(value)


_HINT = "`bakery --help` says what each setting takes."
