"""A base model as files, told apart and read before torch is loaded."""
