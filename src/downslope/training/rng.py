"""Every source of random numbers that a run may draw from."""

from ..rng import capture, kept, restore, seeded

__all__ = ["capture", "kept", "restore", "seeded"]
