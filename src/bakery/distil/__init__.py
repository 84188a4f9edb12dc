"""The bakery door: one flat YAML file in, a baked adapter and its files out."""
