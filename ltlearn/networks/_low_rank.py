"""Fine-tuning of few weights: products of thin matrices beside linear layers that stay."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Of each block of a vision transformer: attention and the two layers after it.
ADAPTED = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")


class LowRankLinear(nn.Module):
    r"""A linear layer that stays, and a low-rank change of its weights that learns [1]_.

    .. math:: x \mapsto (W + U D) x + b

    with U of shape (n_outputs, rank), which starts from zeros, and D of shape (rank, n_inputs).

    Parameters
    ----------
    linear : torch.nn.Linear
    rank : int

    References
    ----------
    .. [1] Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, equation 3.
    """

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.linear = linear
        spread = 1 / math.sqrt(linear.in_features)
        self.down = nn.Parameter(spread * torch.randn(rank, linear.in_features))
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + F.linear(F.linear(x, self.down), self.up)


def adapt(model, rank):
    """Put a :class:`LowRankLinear` in place of the linear layers of a vision transformer's blocks.

    All other weights no longer learn.

    Parameters
    ----------
    model : timm.models.VisionTransformer
    rank : int

    Raises
    ------
    ValueError
        Where the model is another one, or the rank is no whole number up to the model's width.
    """
    from timm.models.vision_transformer import VisionTransformer

    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise ValueError(f"lora_rank must be a whole number of at least 1 or None, got {rank!r}.")
    if not isinstance(model, VisionTransformer):
        raise ValueError(
            f"lora_rank={rank} is for vision transformers of timm, and this model is a "
            f"{type(model).__name__}. Leave lora_rank out of backbone_params."
        )
    if rank > model.embed_dim:
        raise ValueError(f"lora_rank={rank} must be at most {model.embed_dim}, the model's width.")
    model.requires_grad_(False)
    for block in model.blocks:
        for name in ADAPTED:
            part, attribute = name.split(".")
            parent = getattr(block, part)
            setattr(parent, attribute, LowRankLinear(getattr(parent, attribute), rank))
