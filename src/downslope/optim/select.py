"""Which parameters of a model a rule is for: by name, dimensions, predicate, or what they are in the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from ..errors import SettingError

Selector = str | int | Callable[[str, torch.Tensor], bool]
Named = list[tuple[str, torch.nn.Parameter]]

REST = "rest"
# What a word of a selector stands for, of the kinds that `kinds` tells apart.
WORDS: dict[str, tuple[str, ...]] = {
    "matrices": ("matrix",),
    "embeddings": ("embedding",),
    "head": ("head",),
    "norms": ("norm",),
    "biases": ("bias",),
    "vectors": ("norm", "bias", "vector"),
}
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, *([nn.RMSNorm] if hasattr(nn, "RMSNorm") else []))


def named(model: nn.Module | Iterable[Any]) -> Named:
    """The parameters that want a gradient, each once, with their names. Raises SettingError for anything but a module
    or pairs of names and parameters."""
    pairs = list(model.named_parameters()) if isinstance(model, nn.Module) else list(model)
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], torch.Tensor)):
            raise SettingError(
                f"Route: needs names to tell parameters apart; give the model, or model.named_parameters(), not "
                f"{type(pair).__name__}s"
            )
    return [(name, p) for name, p in pairs if p.requires_grad]


def kinds(model: nn.Module | Iterable[Any], pairs: Named) -> dict[str, str]:
    """What each parameter is: `embedding`, `head`, `norm`, `bias`, `matrix` (of two dimensions or more) or `vector`.

    The head is the last matrix that is no embedding, in the order in which the model was built; one that an embedding
    shares its weight with is that embedding. Of parameters without their model, embeddings and norms are told by their
    names."""
    owner: dict[int, nn.Module] = {}
    if isinstance(model, nn.Module):
        for module in model.modules():
            for p in module.parameters(recurse=False):
                if id(p) not in owner or isinstance(module, nn.Embedding | nn.EmbeddingBag):
                    owner[id(p)] = module
    found: dict[str, str] = {}
    for name, p in pairs:
        of, words = owner.get(id(p)), name.lower()
        if isinstance(of, nn.Embedding | nn.EmbeddingBag) or (of is None and re.search("emb|wte|wpe", words)):
            found[name] = "embedding"
        elif isinstance(of, NORMS) or (of is None and p.ndim < 2 and "norm" in words):
            found[name] = "norm"
        elif p.ndim >= 2:
            found[name] = "matrix"
        else:
            found[name] = "bias" if name.rpartition(".")[2].startswith("bias") else "vector"
    matrices = [name for name, kind in found.items() if kind == "matrix"]
    if len(matrices) > 1 or (matrices and "embedding" in found.values()):
        found[matrices[-1]] = "head"
    return found


def select(model: nn.Module | Iterable[Any], selectors: Iterable[Selector]) -> dict[Selector, Named]:
    """The parameters of each selector, in the model's order; `rest` has those of none.

    Raises SettingError for a parameter that no selector has, or two, and for a selector that has none."""
    if not isinstance(model, nn.Module):
        model = list(model)
    pairs, selectors = named(model), list(selectors)
    of = kinds(model, pairs)
    found: dict[Selector, Named] = {selector: [] for selector in selectors}
    for name, p in pairs:
        owners = [s for s in selectors if s != REST and _has(s, name, p, of[name])]
        if not owners and REST in found:
            owners = [REST]
        if len(owners) != 1:
            what = f"is taken by {' and '.join(map(_words, owners))}" if owners else "is taken by no rule"
            how = "make them exclude each other" if owners else "add one for it, or one for 'rest'"
            raise SettingError(f"Route: {name!r}, of shape {tuple(p.shape)}, {what}; {how}")
        found[owners[0]].append((name, p))
    for selector, members in found.items():
        if not members and selector != REST:
            known = ", ".join(name for name, _ in pairs[:4]) + (", ..." if len(pairs) > 4 else "")
            raise SettingError(f"Route: {_words(selector)} takes no parameter of {known}")
    return {selector: members for selector, members in found.items() if members}


def _has(selector: Selector, name: str, p: torch.Tensor, kind: str) -> bool:
    if isinstance(selector, str):
        return kind in WORDS[selector] if selector in WORDS else fnmatchcase(name, selector)
    if isinstance(selector, int):
        return p.ndim == selector
    return bool(selector(name, p))


def _words(selector: Selector) -> str:
    if isinstance(selector, int):
        return f"{selector} (dimensions)"
    return repr(selector) if isinstance(selector, str) else getattr(selector, "__name__", repr(selector))


def label(selector: Selector) -> str:
    """What a param group of the selector is called."""
    return str(selector) if isinstance(selector, str | int) else getattr(selector, "__name__", "predicate")
