"""A real llama.cpp behind HTTP, on this machine alone: `python llama_server.py FILE [LORA]`.

Run by a Python that has the package xllamacpp, in a process of its own; it prints its address, and
ends with its standard input.
"""

from __future__ import annotations

import sys

import xllamacpp as x  # type: ignore[import-not-found]  # of an extra

params = x.CommonParams()
params.model.path = sys.argv[1]
if len(sys.argv) > 2:
    params.lora_adapters = [x.CommonAdapterLoraInfo(sys.argv[2], 1.0)]
params.n_ctx, params.n_parallel, params.n_gpu_layers = 2048, 1, 0
params.hostnames, params.port = ["127.0.0.1"], 0
params.fit_params = params.warmup = False
params.cpuparams.n_threads = 1
# A cache of half precision moves log probabilities by a hundredth.
params.cache_type_k = params.cache_type_v = x.ggml_type.GGML_TYPE_F32
params.flash_attn_type = x.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
server = x.Server(params)
sys.stdout.write(f"{server.listening_address}\n")
sys.stdout.flush()
sys.stdin.read()
