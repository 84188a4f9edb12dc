"""What many repositories that bake every day would need: by simulation, from what was measured."""
