"""A Modelfile: how Ollama runs an exported model, with the chat template in its own language."""
