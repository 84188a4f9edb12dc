"""A server on this machine that misbehaves in every way we know, and what a run makes of it."""
