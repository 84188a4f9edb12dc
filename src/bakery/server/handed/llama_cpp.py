"""llama.cpp: the base and each bake's slice as GGUF files, and of each as much as a model has.

What a model is, is a number for each slice in every request; so any strength costs nothing.
"""
