"""What the `bakery` door can be told: fields, files, flags, and what values make sense."""
