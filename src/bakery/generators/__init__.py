"""What writes stimuli: one module per `type:` of input.yml."""
