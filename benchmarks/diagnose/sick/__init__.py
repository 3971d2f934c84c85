"""Sick runs, by what is wrong with them. What counts as right was written down before any of them was run."""

from . import data, kept, loop, network, rates

SICK = (*rates.KINDS, *loop.KINDS, *network.KINDS, *data.KINDS, *kept.KINDS)
