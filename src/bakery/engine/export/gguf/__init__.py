"""A model, or its adapter alone, as one GGUF file: written, read back, and compared."""
