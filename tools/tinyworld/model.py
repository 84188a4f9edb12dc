"""The Qwen3 architecture in plain PyTorch, small and fast to train on a CPU.

Parameter names are those of `transformers`, so the weights load there unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

# B batch, T time, D hidden, H heads, K head dimension, N selected positions, V vocabulary


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the model."""

    vocab: int = 2048
    hidden: int = 192
    layers: int = 6
    heads: int = 3
    head_dim: int = 64
    ff: int = 512
    max_length: int = 1024
    theta: float = 10000.0
    eps: float = 1e-6


class Norm(nn.Module):
    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)
        return (y * self.weight).to(x.dtype)


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        inner = shape.heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden, inner, bias=False)
        self.k_proj = nn.Linear(shape.hidden, inner, bias=False)
        self.v_proj = nn.Linear(shape.hidden, inner, bias=False)
        self.o_proj = nn.Linear(inner, shape.hidden, bias=False)
        self.q_norm = Norm(shape.head_dim, shape.eps)
        self.k_norm = Norm(shape.head_dim, shape.eps)
        self.heads, self.head_dim = shape.heads, shape.head_dim

    def forward(
        self, x_BTD: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, mask_TT: torch.Tensor
    ) -> torch.Tensor:
        batch, time, _ = x_BTD.shape
        split = (batch, time, self.heads, self.head_dim)
        q = _rotate(self.q_norm(self.q_proj(x_BTD).view(split)).transpose(1, 2), cos, sin)
        k = _rotate(self.k_norm(self.k_proj(x_BTD).view(split)).transpose(1, 2), cos, sin)
        v = self.v_proj(x_BTD).view(split).transpose(1, 2)
        # Written out: the fused kernel's backward pass is several times slower on a CPU.
        scores = q.to(v.dtype) @ k.to(v.dtype).transpose(-1, -2) * self.head_dim**-0.5
        p = torch.softmax(scores.float() + mask_TT, dim=-1).to(v.dtype)
        return self.o_proj((p @ v).transpose(1, 2).reshape(batch, time, -1))


class FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.ff, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.ff, bias=False)
        self.down_proj = nn.Linear(shape.ff, shape.hidden, bias=False)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return self.down_proj(nn.functional.silu(self.gate_proj(x_BTD)) * self.up_proj(x_BTD))


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = FeedForward(shape)
        self.input_layernorm = Norm(shape.hidden, shape.eps)
        self.post_attention_layernorm = Norm(shape.hidden, shape.eps)

    def forward(
        self, x_BTD: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, mask_TT: torch.Tensor
    ) -> torch.Tensor:
        x_BTD = x_BTD + self.self_attn(self.input_layernorm(x_BTD), cos, sin, mask_TT)
        return x_BTD + self.mlp(self.post_attention_layernorm(x_BTD))


class Backbone(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.hidden, shape.eps)


class TinyQwen3(nn.Module):
    """Embeddings tied to the head; the forward pass gives the loss at selected positions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.model = Backbone(shape)
        for param in self.parameters():
            if param.dim() == 2:
                nn.init.normal_(param, std=0.02)
        inverse = shape.theta ** (-torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)
        angles = torch.outer(torch.arange(shape.max_length).float(), inverse)
        angles = torch.cat((angles, angles), dim=-1)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(
        self,
        ids_BT: torch.Tensor,
        at_N: torch.Tensor,
        target_N: torch.Tensor,
        weight_N: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weighted loss sum and the unweighted losses; padding stands on the right."""
        time = ids_BT.shape[1]
        x_BTD = self.model.embed_tokens(ids_BT)
        cos, sin = self.cos[:time], self.sin[:time]
        mask_TT = torch.full((time, time), float("-inf")).triu(1)
        for layer in self.model.layers:
            x_BTD = layer(x_BTD, cos, sin, mask_TT)
        x_ND = self.model.norm(x_BTD).flatten(0, 1)[at_N]
        logits_NV = nn.functional.linear(x_ND, self.model.embed_tokens.weight).float()
        loss_N = nn.functional.cross_entropy(logits_NV, target_N, reduction="none")
        return (loss_N * weight_N).sum(), loss_N.detach()
