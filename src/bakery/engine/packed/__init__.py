"""Many rows as one sequence: nothing padded, and what they share computed once."""
