"""Healthy runs: what is usual, and what looks sick and is not."""

from . import data, kept, loop, network

HEALTHY = (*loop.KINDS, *network.KINDS, *data.KINDS, *kept.KINDS)
