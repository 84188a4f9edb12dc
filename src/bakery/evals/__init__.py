"""How near a bake is to what it was baked from: answers, checks, verdicts, probes."""
