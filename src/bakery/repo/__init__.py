"""Git and YAML: the repository of a model's history. Knows nothing of tensors."""
