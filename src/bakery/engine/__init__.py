"""Tensors and token ids. No git, no files of the repository."""
