"""What the files of a repository are called: the three that are tracked, and a template's."""

BREAD, RECIPE, INPUT = ".bread", "recipe.yml", "input.yml"

ABOUT = "TEMPLATE.md"
"""A template's README, in a repository that has a README of its own."""
