"""Sick runs, by what is wrong with them. What counts as right was written down before any of them was run."""

from . import data, kept_loop, kept_model, loop, network, rates

SICK = (*rates.KINDS, *loop.KINDS, *network.KINDS, *data.KINDS, *kept_loop.KINDS, *kept_model.KINDS)
