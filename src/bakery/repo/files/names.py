"""What the files of a repository are called: the three that are tracked, and those of people."""

BREAD, RECIPE, INPUT = ".bread", "recipe.yml", "input.yml"

TESTS = "tests.yml"
"""What the answers of a bake have to be, and the gate of a run; bgit never writes it."""

ABOUT = "TEMPLATE.md"
"""A template's README, in a repository that has a README of its own."""

WEIGHTS_REMOTE = "bgit.weightsremote"
"""The key of git's own config under which a clone keeps its remote of weights."""
