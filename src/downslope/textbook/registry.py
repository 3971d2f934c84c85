"""The claims, chapter by chapter; each is a file of its name in claims/, with CLAIM and experiment()."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..errors import SettingError, nearest
from .claim import Claim, Evidence

CHAPTERS: dict[str, tuple[str, ...]] = {
    "The learning rate": ("lr-size",),
    "Momentum": ("momentum-bump", "momentum-ravine", "momentum-start", "nag-look-ahead"),
    "Adaptive rules": (
        "adagrad-rare-features",
        "adagrad-stalls",
        "adadelta-no-rate",
        "rmsprop-moving-target",
        "adam-bias-correction",
        "adam-bounded-step",
        "adam-scale",
        "adaptive-sparse",
        "sgd-against-adam",
    ),
    "Batches": ("batch-kinds", "batch-size"),
    "Where training stands": ("flat-loss", "saddle-by-hessian"),
    "Gradients": ("probing-weights", "chain-rule"),
    "What layers do": ("layers-untangle",),
    "Activations": ("sigmoid-saturates", "relu-dies", "relu-alternatives"),
    "Inputs and first weights": ("inputs-normalised", "weights-at-start"),
    "Batch normalisation": (
        "bn-larger-rate",
        "bn-initialisation",
        "bn-regularises",
        "bn-bias",
        "bn-pair-per-map",
        "bn-before-or-after",
        "bn-test-statistics",
    ),
    "Regularisation": ("dropout-averaging", "l1-l2", "early-stopping"),
    "Order of the data": ("shuffling", "curriculum"),
    "Ensembles": ("ensembles",),
    "Schedules": ("schedules-against-constant",),
    "Search": ("random-against-grid", "coarse-to-fine", "log-scale"),
    "Checks": ("gradient-check",),
    "Heads": ("gap-head", "fc-in-transfer"),
}
"""What the gallery shows, in its order."""


@dataclass(frozen=True)
class Entry:
    """A claim with its experiment, which takes the seeds, and the file that both are in."""

    slug: str
    claim: Claim
    experiment: Callable[[range], Evidence]
    file: Path

    @property
    def code(self) -> str:
        return self.file.read_text(encoding="utf-8")


def slugs() -> list[str]:
    """The names of all claims, in the gallery's order."""
    return [slug for chapter in CHAPTERS.values() for slug in chapter]


def by_name(name: str) -> Entry:
    """The claim of a name, whatever its case, blanks and underscores. Raises SettingError with the nearest names."""
    slug = name.strip().lower().replace("_", "-").replace(" ", "-")
    if slug not in slugs():
        raise SettingError(
            f"textbook: there is no claim {name!r}; {nearest(slug, slugs())}; downslope textbook --list shows all"
        )
    module = import_module(f".claims.{slug.replace('-', '_')}", __package__)
    return Entry(slug, module.CLAIM, module.experiment, Path(str(module.__file__)))
