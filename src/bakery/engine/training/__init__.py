"""Steps, and what is known before, between and after them."""
