"""stim, rollout, bake: a directory in, a directory out."""
