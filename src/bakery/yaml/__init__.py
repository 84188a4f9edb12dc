"""YAML that people write, and YAML that may come from anywhere."""
