"""Tensors and token ids. No git, no files of the repository."""

import os

# Of the hub, transformers would fetch native code for some kinds of layers where it can.
os.environ.setdefault("USE_HUB_KERNELS", "NO")
