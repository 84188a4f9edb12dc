"""What the three tracked files are called."""

BREAD, RECIPE, INPUT = ".bread", "recipe.yml", "input.yml"
