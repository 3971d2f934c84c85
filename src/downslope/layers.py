"""Layers that torch lacks."""

from __future__ import annotations

import torch
from torch import nn

from .errors import SettingError


class Maxout(nn.Module):
    """A linear layer whose every unit is the largest of `pieces` affine functions of the inputs.

    Inputs (..., in_features) -> outputs (..., out_features): `h_i(x) = max_j x·W_ij + b_ij`. The layer is its own
    activation: a convex, piecewise linear one, which it learns; ReLU and the absolute value are cases of two pieces.
    The weights are one `nn.Linear`, `affine`, of shape (pieces * out_features, in_features), piece by piece, with its
    start and its state dict (`affine.weight`, `affine.bias`).

    Costs `pieces` times the parameters and products of a linear layer. Where pieces are equal they share the gradient.
    Raises SettingError for less than one piece. Source: Goodfellow et al. 2013, arXiv:1302.4389, section 2.
    """

    def __init__(self, in_features: int, out_features: int, pieces: int = 2, bias: bool = True):
        super().__init__()
        self.out_features, self.pieces = out_features, _pieces("Maxout", pieces)
        self.affine = nn.Linear(in_features, pieces * out_features, bias=bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.affine(inputs).unflatten(-1, (self.pieces, self.out_features)).amax(-2)

    def extra_repr(self) -> str:
        return f"{self.affine.in_features}, {self.out_features}, pieces={self.pieces}"


class MaxoutConv2d(nn.Module):
    """A convolution whose every channel is, at each place, the largest of `pieces` feature maps.

    Inputs (N, in_channels, height, width), N may be missing -> outputs (N, out_channels, height', width'), sizes as of
    `nn.Conv2d`. The weights are one `nn.Conv2d`, `affine`, with pieces * out_channels channels, piece by piece. All
    else as in `Maxout`; the paper's section 2 too: the maximum is across channels, so that it pools at no extra cost.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        pieces: int = 2,
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        bias: bool = True,
    ):
        super().__init__()
        self.out_channels, self.pieces = out_channels, _pieces("MaxoutConv2d", pieces)
        self.affine = nn.Conv2d(
            in_channels, pieces * out_channels, kernel_size, stride, padding, dilation=dilation, bias=bias
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.affine(inputs).unflatten(-3, (self.pieces, self.out_channels)).amax(-4)

    def extra_repr(self) -> str:
        return f"{self.affine.in_channels}, {self.out_channels}, pieces={self.pieces}"


def _pieces(layer: str, pieces: int) -> int:
    if isinstance(pieces, bool) or not isinstance(pieces, int) or pieces < 1:
        raise SettingError(f"{layer}: pieces is {pieces!r}; give a whole number from 1 on, 2 as a rule")
    return pieces
