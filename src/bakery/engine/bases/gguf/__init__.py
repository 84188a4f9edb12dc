"""A base model in one GGUF file: what the file says of itself, and the folder it is unpacked to."""
