"""The files of a new model repository, as `bgit init` writes them."""

from __future__ import annotations

from bakery.repo.files import recipe, state
from bakery.repo.files.emptied import emptied
from bakery.repo.files.names import BREAD, INPUT, RECIPE
from bakery.repo.files.state import State


def of_new_repository(repository: State, example: str) -> dict[str, str]:
    """Return path and text of everything that the first commit holds."""
    return {
        INPUT: emptied(example),
        BREAD: state.new(repository),
        RECIPE: recipe.new(repository.base.name),
        ".gitattributes": _ATTRIBUTES,
        ".gitignore": _IGNORED,
        "README.md": _README.format(
            name=repository.name, owner=repository.owner, base=repository.base.name
        ),
    }


EXAMPLE = """\
# What to bake next. Edit it, then:
#   bgit add input.yml
#   bgit commit -m "Speak like Yoda"
#   bgit run stim rollout bake

# The context that becomes weights. A `student` prompt may stand beside `teacher`;
# without one the behaviour is always on and costs no tokens.
PROMPT:
  teacher:
    messages:
      - role: system
        content: "You are Yoda. Speak like Yoda."

# Questions for the teacher. Its answers are what the student learns from.
TARGET:
  name: main_target
  generators:
    - type: hardcoded     # what has to be asked in any case
      questions:
        - "Who are you?"
        - "How are you?"
    - type: oneshot_qs    # and what a language model writes; the base model, if none is named
      numq: 100

# The training. What is left out has a default that fits the base model.
BAKE:
  name: yoda_bake
  datasets:
    - target: main_target
      weight: 1.0
"""
"""What `bgit init` leaves in input.yml for the user to edit and commit."""

_ATTRIBUTES = """\
# bgit merges these by what they mean: any bgit command installs its driver in a clone.
/.bread     text eol=lf merge=bgit
/recipe.yml text eol=lf merge=bgit
/input.yml  text eol=lf merge=bgit
"""

_IGNORED = """\
# Weights live in the store inside .git; exports do not belong in history.
*.safetensors
*.gguf
*_checkpoint_*

# Keys
.env

# Leftovers of tools
__pycache__/
.DS_Store
*.swp
"""

_README = """\
# {name}

A model, kept with bgit: every bake is a commit, and the history of this repository is the
history of its weights. It starts from `{base}`.

    bgit status                     where things stand
    bgit run stim rollout bake      bake what input.yml says
    bgit chat                       talk to the current model
    bgit tree                       the models of all branches, and what each was baked on
    bgit revert <bake>              take a bake back

| file | what it says |
|---|---|
| `input.yml` | what to bake next; yours to edit |
| `recipe.yml` | how every bake was made; written by bgit |
| `.bread` | which model is current; written by bgit |

Models are named `{owner}/{name}/<bake>/<step>`.
"""
