"""Initialisation schemes by name, over a whole model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.utils import parametrize

from ..errors import SettingError, nearest
from ..layers import Maxout, MaxoutConv2d
from ..modes import evaluating
from .gains import INSIDE, RECURRENT, gains


class Fan(NamedTuple):
    """Of one matrix in a weight: how many inputs an output sums, how many outputs an input reaches (strides are not
    counted, as in torch), and the gain."""

    fan_in: int
    fan_out: int
    gain: float


class Scheme(NamedTuple):
    """`fill(generator, rows, fan)` makes one matrix of (rows, fan.fan_in); `unknown` is the gain where it cannot tell
    which activation follows."""

    fill: Callable[[torch.Generator | None, int, Fan], torch.Tensor]
    unknown: float = 1.0
    fitted: bool = False


def _normal(std: Callable[[Fan], float]) -> Callable[..., torch.Tensor]:
    return lambda generator, rows, fan: torch.randn(rows, fan.fan_in, generator=generator) * std(fan)


def _uniform(std: Callable[[Fan], float]) -> Callable[..., torch.Tensor]:
    """Of the same deviation: between plus and minus sqrt(3) times it."""
    return lambda generator, rows, fan: (
        (torch.rand(rows, fan.fan_in, generator=generator) * 2 - 1) * (math.sqrt(3) * std(fan))
    )


def _orthogonal(generator: torch.Generator | None, rows: int, fan: Fan) -> torch.Tensor:
    drawn = torch.randn(max(rows, fan.fan_in), min(rows, fan.fan_in), generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(drawn)
    q = q * r.diagonal().sign()  # so that every orthogonal matrix is as likely (Mezzadri 2007, math-ph/0609050)
    return fan.gain * (q if rows >= fan.fan_in else q.T)


def _xavier(fan: Fan) -> float:
    return fan.gain * math.sqrt(2 / (fan.fan_in + fan.fan_out))  # Glorot & Bengio 2010, eq. 12


def _he(fan: Fan) -> float:
    return fan.gain / math.sqrt(fan.fan_in)  # He et al. 2015, arXiv:1502.01852, eq. 10


SCHEMES: dict[str, Scheme] = {
    "small-normal": Scheme(_normal(lambda fan: 0.01)),
    "unit-normal": Scheme(_normal(lambda fan: 1.0)),
    "xavier": Scheme(_uniform(_xavier)),
    "xavier-uniform": Scheme(_uniform(_xavier)),
    "xavier-normal": Scheme(_normal(_xavier)),
    "he": Scheme(_normal(_he), unknown=math.sqrt(2)),
    "he-normal": Scheme(_normal(_he), unknown=math.sqrt(2)),
    "he-uniform": Scheme(_uniform(_he), unknown=math.sqrt(2)),
    "orthogonal": Scheme(_orthogonal),
    "lsuv": Scheme(_orthogonal, fitted=True),
}

TOLERANCE, TRIALS = 0.01, 10
"""LSUV scales a layer until the variance of its output is this near to 1, or this often (paper: 0.1 and 10)."""


def _count(matrices: int, layer: nn.Module) -> int:
    return matrices


class Slot(NamedTuple):
    """Which weights a kind of layer has, and of how many matrices each is made."""

    names: tuple[str, ...]
    matrices: Callable[[Any], int] = partial(_count, 1)
    transposed: bool = False  # inputs before outputs, within a matrix


_STEMS = ("weight_ih", "weight_hh", "weight_hr")  # and those with a layer's number
SLOTS: dict[type[nn.Module], tuple[Slot, ...]] = {
    nn.Linear: (Slot(("weight",)),),
    nn.Bilinear: (Slot(("weight",)),),
    nn.modules.conv._ConvTransposeNd: (Slot(("weight",), attrgetter("groups"), transposed=True),),
    nn.modules.conv._ConvNd: (Slot(("weight",), attrgetter("groups")),),
    nn.MultiheadAttention: (
        Slot(("in_proj_weight",), partial(_count, 3)),
        Slot(("q_proj_weight", "k_proj_weight", "v_proj_weight")),
    ),
    **{
        kind: (Slot(_STEMS[:2], partial(_count, gates)), Slot(_STEMS[2:]))
        for kind, gates in (
            (nn.LSTM, 4), (nn.LSTMCell, 4), (nn.GRU, 3), (nn.GRUCell, 3), (nn.RNN, 1), (nn.RNNCell, 1),
        )
    },
}  # fmt: skip

_KEPT = (
    nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase,
)  # fmt: skip


@torch.no_grad()
def initialise(model: nn.Module, scheme: str, sample: Any = None, seed: int | None = None) -> None:
    """Give a model's layers new weights, in place.

    - `small-normal`: N(0, 0.01²) whatever the size; `unit-normal`: N(0, 1). To see what goes wrong with them.
    - `xavier` (`xavier-uniform`) and `xavier-normal`: deviation gain * sqrt(2 / (fan_in + fan_out)); Glorot & Bengio
      2010, eq. 16.
    - `he` (`he-normal`) and `he-uniform`: deviation gain / sqrt(fan_in); He et al. 2015, arXiv:1502.01852, eq. 10.
    - `orthogonal`: orthonormal rows or columns, whichever are fewer, times the gain; Saxe et al. 2014, arXiv:1312.6120.
    - `lsuv`: orthonormal, then each layer in the order of a forward pass scaled until its outputs over `sample` (one
      batch of inputs, as the model takes them) have variance 1; Mishkin & Matas 2016, arXiv:1511.06422, Algorithm 1.

    It fills the weights of linear, bilinear, convolutional and Maxout layers, RNN, GRU and LSTM (each gate for itself)
    and the projections of attention (each for itself), and sets their biases to zero, an LSTM's forget gate too. Norm
    layers, embeddings and weights tied to them, bare parameters and parameters of modules of your own stay as they are.
    The gain is that of the activation that follows (`gains`): sqrt(2) for ReLU, 5/3 for tanh; 1 where none follows
    and inside recurrent layers and attention. Where what follows cannot be found, it is 1, for He's schemes sqrt(2).
    LSUV scales layers that are called, not recurrent ones and not attention's projections, which stay orthonormal.

    `seed` fixes what is drawn and leaves torch's random state alone; without it the numbers come from there. They are
    drawn on the CPU, so every device gets the same. LSUV costs about two forward passes over the sample, in evaluation
    mode, without dropout. Raises SettingError for an unknown scheme (with the nearest names), for LSUV without a sample
    or with one over which a layer's outputs do not vary, and for weights that are not there yet or cannot be set.
    """
    if scheme not in SCHEMES:
        raise SettingError(f"initialise: unknown scheme {scheme!r}; {nearest(str(scheme), SCHEMES)}")
    rule = SCHEMES[scheme]
    if rule.fitted and sample is None:
        raise SettingError(f"initialise: {scheme} needs sample=, one batch of inputs as the model takes them")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    found = {} if rule.fitted else gains(model)
    pieces: dict[nn.Module, int] = {
        module.affine: module.pieces for module in model.modules() if isinstance(module, Maxout | MaxoutConv2d)
    }
    filled: dict[nn.Module, str] = {}
    for name, layer, slots in _layers(model):
        gain = 1.0 if rule.fitted else found.get(layer, rule.unknown)
        for slot in slots:
            for weight in _weights(layer, slot):
                new = _drawn(name, layer, weight, slot, pieces.get(layer, 1), gain, partial(rule.fill, generator))
                _set(name, layer, weight, new)
        for bias in _biases(layer):
            bias.zero_()
        filled[layer] = name
    if rule.fitted:
        with torch.random.fork_rng(devices=[]):
            if seed is not None:
                torch.manual_seed(seed)
            _fit(model, filled, sample)


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module, tuple[Slot, ...]]]:
    """The layers to fill, by name; not those tied to one that stays as it is, and of tied ones the first."""
    seen = {id(p) for module in model.modules() if isinstance(module, _KEPT) for p in module.parameters(recurse=False)}
    for name, module in model.named_modules():
        slots = next((slots for kind, slots in SLOTS.items() if isinstance(module, kind)), None)
        if slots is None:
            continue
        own = {id(p) for slot in slots for w in _weights(module, slot) for p in _behind(module, w)}
        if own & seen:
            continue
        seen |= own
        yield name or type(module).__name__, module, slots


def _behind(layer: nn.Module, weight: str) -> list[nn.Parameter]:
    """The parameters that a weight is, or is computed from."""
    if parametrize.is_parametrized(layer, weight):
        return list(layer.parametrizations[weight].parameters())  # type: ignore[index,union-attr,operator]
    return [p for p in (layer._parameters.get(weight),) if p is not None]


def _weights(layer: nn.Module, slot: Slot) -> Iterator[str]:
    for name in [*layer._parameters, *getattr(layer, "parametrizations", ()), *vars(layer)]:
        stem = name.split("_l")[0] if name.startswith(_STEMS) else name
        if stem in slot.names and isinstance(getattr(layer, name), torch.Tensor):
            yield name


def _biases(layer: nn.Module) -> Iterator[torch.Tensor]:
    for name in layer._parameters:
        bias = getattr(layer, name)
        if name.startswith(("bias_ih", "bias_hh")) or (name in ("bias", "in_proj_bias") and bias is not None):
            yield bias


def _drawn(
    name: str, layer: nn.Module, weight: str, slot: Slot, pieces: int, gain: float, fill: Callable[..., torch.Tensor]
) -> torch.Tensor:
    held = getattr(layer, weight)
    if nn.parameter.is_lazy(held):
        raise SettingError(f"initialise: {name}.{weight} has no shape yet; run the model on a batch of inputs first")
    new = torch.empty(held.shape, dtype=torch.float64)
    for part in new.chunk(slot.matrices(layer) * pieces):
        matrix = part.transpose(0, 1) if slot.transposed else part
        field = 1 if isinstance(layer, nn.Bilinear) else matrix[0, 0].numel()
        fan = Fan(matrix[0].numel(), len(matrix) * field, gain)
        matrix.copy_(fill(len(matrix), fan).view(matrix.shape))
    return new


def _set(name: str, layer: nn.Module, weight: str, value: torch.Tensor) -> None:
    if parametrize.is_parametrized(layer, weight):
        setattr(layer, weight, value.to(getattr(layer, weight)))
    elif weight in layer._parameters:
        getattr(layer, weight).copy_(value)
    else:
        raise SettingError(
            f"initialise: {name}.{weight} is computed from other parameters in every pass and cannot be set; use "
            "torch.nn.utils.parametrizations"
        )


def _fit(model: nn.Module, layers: dict[nn.Module, str], sample: Any) -> None:
    """Scale each layer when the pass comes to it, and let the pass go on with what it gives then."""

    def scale(layer: Any, inputs: Any, keywords: Any, output: torch.Tensor) -> torch.Tensor:
        name = waiting.pop(layer, None)
        for _ in range(TRIALS if name is not None else 0):
            variance = output.double().var().item()
            if not 0 < variance < math.inf:
                raise SettingError(
                    f"initialise: lsuv: the outputs of {name} have variance {variance:g} over the sample; give a batch "
                    "of more inputs, none of them nan or infinite"
                )
            if abs(variance - 1) < TOLERANCE:
                break
            _set(str(name), layer, "weight", layer.weight / math.sqrt(variance))
            output = layer.forward(*inputs, **keywords)
        return output

    waiting = {layer: name for layer, name in layers.items() if not isinstance(layer, RECURRENT + INSIDE)}
    hooks = [layer.register_forward_hook(scale, with_kwargs=True) for layer in waiting]
    try:
        with evaluating(model):
            model(sample)
    finally:
        for hook in hooks:
            hook.remove()
