"""What the `bakery` door can be told: its fields, and what values make sense."""
