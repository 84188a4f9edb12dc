"""Repositories as another tool of this name leaves them: its .bread, its three kinds of recipe.

Written by hand; names and hashes are made up.
"""

from __future__ import annotations

from pathlib import Path

from bakery.repo.model_repo import ModelRepo
from tests.support.recorded import git

BASE = "Qwen/Qwen3-32B"
FIRST, SECOND = "yoda_bake_1a2b3c4d5e6f7a8b", "wise_bake_0f1e2d3c4b5a6978"
TARGET = "main_target_a1b2c3d4e5f60718"
FIRST_MODEL, SECOND_MODEL = f"acme/yoda/{FIRST}/120", f"acme/yoda/{SECOND}/180"

BREAD = f"""\
; The state of this repository
; Do not edit
[REPO]
name=yoda

[PROMPT\\.teacher]
hash={"7" * 64}
prompt_name=prompt_7777777777777777

[PROMPT\\.student]
hash={"2" * 64}
prompt_name=prompt_2222222222222222

[TARGET]
hash={"a" * 64}
target_name={TARGET}

[BAKE]
hash={"0" * 64}
bake_name={SECOND}

[PARENT_MODEL]
model_name={SECOND_MODEL}

[RECIPE]
base_model={BASE}
total_steps=7
recipe_file=recipe.yml

[RECIPE\\.BAKES\\.{FIRST}]
model_names="[\\"{FIRST_MODEL}\\"]"

[RECIPE\\.BAKES\\.{SECOND}]
model_names="[\\"{SECOND_MODEL}\\",\\"acme/yoda/{SECOND}/90\\"]"
"""

FRESH_BREAD = "; The state of this repository\n[REPO]\nname=yoda\n"

FRESH = "# How to make it again\nresources:\n  prompts: []\n  targets: []\n  bakes: []\n"

_RESOURCES = f"""\
resources:
  prompts:
    - prompt_7777777777777777
    - prompt_2222222222222222
  targets:
    - {TARGET}
  bakes:
    - bake_name: {FIRST}
      model_names:
        - {FIRST_MODEL}
    - bake_name: {SECOND}
      model_names:
        - {SECOND_MODEL}
        - acme/yoda/{SECOND}/90
"""

ACTIONS = f"""\
# How to make it again
base_model: {BASE}
total_steps: 7
steps:
  - step: 1
    action: create_prompt
    resource_type: prompt
    resource_name: prompt_7777777777777777
    dependencies: []
    config:
      name: prompt_7777777777777777
      content:
        messages:
          - role: system
            content: You are Yoda.
  - step: 2
    action: create_target
    resource_type: target
    resource_name: {TARGET}
    dependencies:
      - prompt:prompt_7777777777777777
    config:
      u: prompt_7777777777777777
      generators:
        - type: hardcoded
          numq: 2
          questions: [Who are you?, Why?]
      model_name: {BASE}
      max_concurrency: 10
  - step: 3
    action: run_stim
    resource_type: target
    resource_name: {TARGET}
    dependencies:
      - target:{TARGET}
    config: {{}}
  - step: 4
    action: create_bake
    resource_type: bake
    resource_name: {FIRST}
    dependencies:
      - target:{TARGET}:rollout_complete
    config:
      epochs: 1
  - step: 5
    action: create_bake
    resource_type: bake
    resource_name: {SECOND}
    dependencies:
      - target:{TARGET}:rollout_complete
    config:
      model:
        parent_model_name: {FIRST_MODEL}
  - step: 6
    action: run_bake
    resource_type: bake
    resource_name: {SECOND}
    dependencies:
      - bake:{SECOND}
    config: {{}}
{_RESOURCES}"""

OPERATIONS = f"""\
base_model: {BASE}
steps:
  - step: 1
    operation: add_prompt
    prompt_name: prompt_7777777777777777
  - step: 2
    operation: run_stim
    target: {TARGET}
    output_count: 150
  - step: 3
    operation: bake
    bake_name: {FIRST}
    model_names:
      - {FIRST_MODEL}
  - step: 4
    operation: bake
    bake_name: {SECOND}
    model_names:
      - {SECOND_MODEL}
      - acme/yoda/{SECOND}/90
{_RESOURCES}"""

TYPES = f"""\
base_model: {BASE}
steps:
  - step: 1
    type: target
    name: {TARGET}
    config:
      max_concurrency: 10
  - step: 2
    type: bake
    name: {FIRST}
    config:
      epochs: 1
  - step: 3
    type: bake
    name: {SECOND}
    config:
      parent_model: {FIRST_MODEL}
{_RESOURCES}"""

SHAPES = {"actions": ACTIONS, "operations": OPERATIONS, "types": TYPES}


def written(folder: Path, *, bread: str = BREAD, recipe: str = ACTIONS) -> ModelRepo:
    """Make a repository of that tool, its last configuration commented out."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for path, text in ((".bread", bread), ("recipe.yml", recipe), ("input.yml", "# BAKE:\n")):
        (folder / path).write_text(text, encoding="utf-8")
    attributes = ".bread merge=keepTheirs\nrecipe.yml merge=keepTheirs\n"
    (folder / ".gitattributes").write_text(attributes, encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Update recipe.yml")
    return ModelRepo.find(folder)
