"""Writes docs/input-yml.md and docs/input.schema.json from the schema of input.yml.

python tools/document_input.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bakery.schema import json_schema

DOCS = Path(__file__).parents[1] / "docs"

PAGE, SCHEMA = DOCS / "input-yml.md", DOCS / "input.schema.json"

INTRO = """\
# input.yml

What to bake next: prompts, questions and training, in three sections that are all optional.
`bgit check` says whether a file is right, and what a run of it would make and take.

```yaml
PROMPT:
  teacher:                      # what is baked in
    messages:
      - role: system
        content: "You are Yoda. Speak like Yoda."
  student:                      # what will trigger it; without one it is always on
    messages: []

TARGET:                         # one target, or a list of them
  name: main_target
  generators:
    - type: oneshot_qs          # a model writes questions
      numq: 100
    - type: hardcoded           # and some have to be asked in any case
      questions: ["Who are you?"]
  num_traj_per_stimulus: 2      # answers to each question

BAKE:
  name: yoda_bake
  datasets:
    - target: main_target       # or the full name of an earlier target
      weight: 1.0
  epochs: 3
  model:
    baked_adapter_config: {r: 16}
```

This page and `docs/input.schema.json` are written by `make docs` from the schema that files are
checked against. `bgit check --schema` prints the JSON Schema: an editor that is pointed at it
completes keys and marks mistakes (`# yaml-language-server: $schema=<path>` as the first line).

Three things hold everywhere. A key that is not known is an error, with the nearest that is. A key
that is read and done differently is named in a warning by `check`, `run` and `status`. And what
has no default here takes one that fits the base model.

**One system message** is the prompt of most bakes, and has shorter ways of writing: `teacher: "You
are Yoda."` in `PROMPT`, or in the target itself. `content_file: prompt.md` takes a message from a
file beside input.yml; all ways of writing the same text make the same ids. The file is added and
committed like input.yml.

**Several targets.** `TARGET` may be a list; each has a `name` of its own, and chooses its prompts
with `teacher_prompt` and `student_prompt` among those of `PROMPT`. A target whose student is its
teacher holds behaviour still in that context: an anchor against forgetting. A student that is not
empty is a trigger: the behaviour appears behind it only.

**Against forgetting.** A later bake moves what earlier ones taught. `BAKE.replay: 0.25` learns the
answers of all earlier targets of the chain again, a quarter of each epoch, evenly, without taking
room from what is new. The questions and answers are those that the store has, and the teacher is
the parent without a prompt: what it knows by now is held, as KL(parent ‖ student). (A target that
`datasets` names is taught by the parent behind its prompt, as if it was new.) The card measures
each against its own prompt all the same. Anchors, targets of other chains and those that
`datasets` names are left out; `bgit check` shows which are replayed.

`BAKE.retention: 0.2` adds 0.2 · KL(parent ‖ student), neither with a prompt, on questions where
the prompt should not matter: the anchors of the mix, or else 40 general questions that come with
bakery, which the parent answers once, as a target called `retention`. An epoch has so many of
these answers that their tokens are 0.2 of all others, which is the same sum. General questions at
which the new prompt moves the base are left out: a persona or few-shot examples move it at all of
them, and then nothing is held. The bake says how many are left. Anchors of your own are held
whatever the prompt does to them.

Both come on top: what is new is learnt as often as without them, and the bake takes longer by what
is added. `on_policy` has the student answer all of it. Ask each target what only its prompt is
about: prompts that say different things of the same questions are not reconciled by either.

**Conversations.** Messages may go on behind the system message; the question comes as the last user
turn, so what is baked is the behaviour at that point. `tools` and `tool_calls` go to the chat
template of the base model as they are written; a template that would not show them is refused
before anything runs.

**Templates.** `TARGET.template` and `BAKE.template` start from another section as it was written:
of this file (targets), or of an earlier bake of this branch. The keys of this file are laid over
it: mappings key by key, lists and values whole.
"""

EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "File": {
        "PROMPT": "{teacher: {messages: [...]}}",
        "TARGET": "{generators: [...]}",
        "BAKE": "{epochs: 3}",
        "DEFAULTS": "1",
    },
    "PromptSection": {"name": "yoda", "messages": "[{role: system, content: Be brief.}]",
                      "tools": "[{type: function, function: {name: weather}}]"},
    "MessageShape": {"role": "system", "content": '"You are Yoda."', "content_file": "yoda.md",
                     "tool_calls": "[{function: {name: weather}}]", "tool_call_id": "call_1",
                     "reasoning_content": "They ask for the weather."},
    "TextPart": {"text": "You are Yoda."},
    "ToolCall": {"id": "call_1", "function": "{name: weather, arguments: {place: Ede}}"},
    "CalledFunction": {"name": "weather", "arguments": "{place: Ede}"},
    "Tool": {"type": "function", "function": "{name: weather, parameters: {...}}"},
    "ToolFunction": {"name": "weather", "description": "Says what the weather is.",
                     "parameters": "{type: object, properties: {place: {type: string}}}"},
    "Parameters": {"properties": "{place: {type: string}}", "required": "[place]"},
    "Target": {"name": "main_target", "template": "main_target", "teacher_prompt": "yoda",
               "student_prompt": "yoda", "teacher": '"You are Yoda. Speak like Yoda."',
               "student": '""', "u": "teacher", "v": "student",
               "generators": "[{type: persona}]", "model_name": "base", "max_tokens": "200",
               "temperature": "0.7", "num_traj_per_stimulus": "5", "max_concurrency": "20",
               "extra_kwargs": "{top_p: 0.95}"},
    "OneshotQuestions": {"type": "oneshot_qs", "model": "gpt-5-mini", "numq": "120",
                         "temperature": "0.6", "template_path": "templates/hard.txt",
                         "template_content": "Write ${numq} questions for ${prompt_u}",
                         "max_tokens": "2000"},
    "CustomQuestions": {"type": "custom", "model": "gpt-5-mini", "numq": "120",
                        "temperature": "0.6",
                        "template_path": "templates/own.txt", "max_tokens": "2000"},
    "HardcodedQuestions": {"type": "hardcoded", "questions": '["Who are you?", "Why?"]',
                           "numq": "2", "max_tokens": "200"},
    "DatasetQuestions": {"type": "from_dataset", "dataset": "squad", "numq": "28",
                         "split": "validation", "config": "main", "field": "question",
                         "max_tokens": "200"},
    "PersonaQuestions": {"type": "persona", "numq": "40", "max_tokens": "200",
                         "temperature": "1.0", "model": "base"},
    "FactsQuestions": {"type": "facts", "numq": "40", "model": "base", "temperature": "0.6",
                       "max_tokens": "200"},
    "SamplingExtras": {"stop": '["\\n\\n"]', "seed": "7", "top_p": "0.95", "top_k": "40"},
    "Bake": {"name": "yoda_bake", "template": "yoda_bake", "model_name": "base",
             "datasets": "[{target: main_target, weight: 0.8}]", "epochs": "auto",
             "max_epochs": "8", "micro_batch_size": "2", "total_trajectories": "750",
             "model": "{baked_adapter_config: {r: 32}}", "data": "{max_length: 3000}",
             "optimizer": "{learning_rate: 1e-4}", "scheduler": "{type: cosine}",
             "checkpoint": "[{save_every_n_epochs: 1}]", "on_policy": "true",
             "deepspeed": "{zero_optimization: {stage: 0}}", "wandb": "{enable: true}",
             "trackio": "{enable: true}", "tensorboard": "{enable: true}"},
    "Dataset": {"target": "main_target"},
    "BakeModel": {"parent_model_name": "ann/yoda/yoda_bake_b9c948e9d769b84c/36",
                  "baked_adapter_config": "{r: 32, lora_alpha: 64}", "dtype": "bf16",
                  "attn_implementation": "sdpa", "disable_activation_checkpoint": "true",
                  "save_name": "yoda", "student_model_path": "Qwen/Qwen3-0.6B",
                  "max_chain_rank": "256", "peft_config": "{}"},
    "AdapterConfig": {"r": "32", "lora_alpha": "64", "lora_dropout": "0.05",
                      "target_modules": "[q_proj, v_proj]"},
    "BakeData": {"max_length": "3000", "train_eval_split": "[0.9, 0.1]", "seed": "7",
                 "sources": "[{name_or_path: rows.jsonl}]",
                 "eval_sources": "[{name_or_path: rows.jsonl}]", "dl_num_workers": "4",
                 "num_proc": "4", "cache_dir": ".cache", "use_data_cache": "true",
                 "cache_fs_type": "auto", "beta": "0.5"},
    "DataSource": {"name_or_path": "rows.jsonl", "split": "train", "sample_ratio": "0.5",
                   "sample_count": "100"},
    "Optimizer": {"learning_rate": "1e-4", "betas": "[0.9, 0.95]"},
    "Scheduler": {"type": "cosine", "warmup_ratio": "0.1", "warmup_steps": "10"},
    "OnPolicy": {"learning_rate": "1e-5"},
    "Checkpoint": {"output_dir": "ckpts", "auto_resume": "true", "save_every_n_steps": "10"},
    "DeepSpeed": {"zero_optimization": "{stage: 0}"},
    "Wandb": {"project": "yoda", "name": "first", "entity": "ann", "tags": "[yoda, tiny]"},
    "Trackio": {"enable": "false", "project": "yoda", "name": "first_try", "space": "ann/figures"},
    "TensorBoard": {"enable": "false"},
}  # fmt: skip
"""What a key may look like, by its model; where nothing stands, the default does."""

NAMES = {"PROMPT": "PROMPT.<name>"}
"""Headings of mappings whose keys are free."""

HUGE = 10**9
"""A limit from which on it is not worth saying."""

Json = dict[str, Any]


def main() -> None:
    """Write both files, or say which are not current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for path, text in made().items():
        if check and (not path.is_file() or path.read_text(encoding="utf-8") != text):
            stale.append(path.name)
        elif not check:
            path.write_text(text, encoding="utf-8", newline="\n")
    if stale:
        sys.exit(f"not current: {', '.join(stale)}; run `make docs`")


def made() -> dict[Path, str]:
    """Return both files as they have to be."""
    return {PAGE: page(json_schema.schema()), SCHEMA: json_schema.text()}


def page(schema: Json) -> str:
    """Return the page: one table of keys for each section."""
    parts = [INTRO, "## Sections\n"]
    found = list(sections(schema))
    for title, _, model in found:
        depth = title.removeprefix(NAMES["PROMPT"]).count(".")
        parts.append(f"{'  ' * depth}- [`{title}`](#{anchor(title)}): {first_line(model)}")
    for title, name, model in found:
        level = "###" if "." in title.replace(NAMES["PROMPT"], "PROMPT") else "##"
        parts.append(f"\n{level} {title}\n\n{plain(model)}\n")
        parts.append(table(name, model))
    return "\n".join(parts) + "\n"


def sections(schema: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield path, name and schema of every section, in the order of the file."""
    models = schema["$defs"]
    seen: set[str] = set()

    def below(path: str, model: Json) -> Iterator[tuple[str, str, Json]]:
        for key, field in model.get("properties", {}).items():
            names = list(dict.fromkeys(references(field)))
            for name in names:
                here = f"{path}.{key}" if path else NAMES.get(key, key)
                title = f"{here} ({variant(models[name])})" if len(names) > 1 else here
                if name in seen or "properties" not in models[name]:
                    continue
                seen.add(name)
                yield title, name, models[name]
                yield from below(here, models[name])

    yield from below("", schema)


def references(field: Any) -> Iterator[str]:
    """Yield the models that a field's schema names."""
    if isinstance(field, Mapping):
        if "$ref" in field:
            yield field["$ref"].rpartition("/")[2]
        for key, value in field.items():
            if key != "discriminator":
                yield from references(value)
    elif isinstance(field, list):
        for value in field:
            yield from references(value)


def variant(model: Json) -> str:
    """Return the `type` that a section is chosen by."""
    return f"type {model['properties']['type'].get('const', '')}"


def table(name: str, model: Json) -> str:
    """Return the table of a section's keys."""
    inherited = model.get("anyOf", [{}])[0]  # a target takes what it lacks from its template
    required = {*model.get("required", ()), *inherited.get("required", ())}
    rows = ["| key | value | default | meaning | example |", "|---|---|---|---|---|"]
    fields = sorted(model["properties"].items(), key=lambda item: item[0] != "type")
    for key, field in fields:
        default = "required" if key in required else shown(field.get("default"))
        meaning = plain(field)
        cells = [f"`{key}`", kind(field), default, meaning, example(name, key, field)]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def kind(field: Json) -> str:
    """Return in words what a value may be."""
    if "anyOf" in field or "oneOf" in field:
        ways = field.get("anyOf") or field["oneOf"]
        return " or ".join(dict.fromkeys(kind(way) for way in ways if way.get("type") != "null"))
    if "$ref" in field:
        return "mapping"
    if "not" in field:
        return "–"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    match field.get("type"):
        case "array" if "prefixItems" in field:
            return f"list of {len(field['prefixItems'])} numbers"
        case "array":
            item = kind(field.get("items", {}))
            return f"list of {item}s" if item in ("mapping", "text") else f"list ({item})"
        case "integer":
            return f"whole number{limits(field)}"
        case "number":
            return f"number{limits(field)}"
        case "string":
            return "text"
        case "boolean":
            return "true or false"
        case "object":
            return "mapping"
        case _:
            return "anything"


def limits(field: Json) -> str:
    """Return the limits of a number, in signs."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    # What no one comes near is left out.
    parts = [f"{s} {field[k]:g}" for k, s in signs.items() if abs(field.get(k, HUGE)) < HUGE]
    return f" {', '.join(parts)}" if parts else ""


def shown(default: Any) -> str:
    """Return a default as it would be written; what is not set, or a whole section, is a dash."""
    if default is None or isinstance(default, Mapping) or default == []:
        return "–"
    return f"`{json.dumps(default, ensure_ascii=False)}`".replace('"', "")


def example(name: str, key: str, field: Json) -> str:
    """Return what a key may look like in a file."""
    value = EXAMPLES.get(name, {}).get(key)
    if value is None and field.get("default") not in (None, [], ""):
        value = shown(field["default"]).strip("`")
    return f"`{key}: {value}`" if value is not None else ""


def anchor(title: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def first_line(model: Json) -> str:
    """Return the first sentence about a section."""
    return plain(model).split("\n")[0]


def plain(described: Json) -> str:
    """Return a description in the words of the file, where `None` is what is not set."""
    return str(described.get("description", "")).replace("None:", "Not set:")


if __name__ == "__main__":
    main()
