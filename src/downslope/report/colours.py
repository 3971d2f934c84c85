"""One colour, line style and marker for each optimizer, the same in every picture, table and page."""

from __future__ import annotations

import zlib
from typing import NamedTuple

# Okabe & Ito 2008: told apart with every common colour blindness. Their black and yellow are left out, because one
# vanishes on a dark ground and the other on a light one; grey takes their place.
GREY, SKY, BLUE, GREEN, ORANGE, PURPLE, RED = (
    "#808080",
    "#56B4E9",
    "#0072B2",
    "#009E73",
    "#E69F00",
    "#CC79A7",
    "#D55E00",
)
COLOURS = (GREY, SKY, BLUE, GREEN, ORANGE, PURPLE, RED)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon")

# Each block of seven uses every colour once, and each block has its own pair of dash and marker.
ORDER = (
    *("sgd", "momentum", "nag", "adagrad", "adadelta", "rmsprop", "adam"),
    *("asgd", "radam", "nadam", "yogi", "lion", "amsgrad", "adamw"),
    *("rprop", "qhm", "qhadam", "adan", "signum", "adabelief", "adamax"),
    *("rootmeansquare", "adopt", "muon", "shampoo", "sophia", "lamb", "ademamix"),
    *("schedulefreesgd", "lars", "mars", "schedulefreeadamw", "tiger", "aggmo", "accsgd"),
    *("pid", "pnm", "rmsproptf", "madgrad", "kate", "ftrl", "nadamw"),
    *("laprop", "adapnm", "adabound", "amsbound", "adamod", "padam", "diffgrad"),
    *("signsgd", "grams", "ano", "novograd", "fromage", "adamnorm", "stableadamw"),
    *("sgdw", "smorms3", "adamd", "adamatan2", "adax", "powersign", "addsign"),
    *("adafactor", "soap", "prodigy", "came", "adammini", "kron", "dog"),
    *("dadaptsgd", "dadaptadam", "ldog", "sm3", "lookahead", "sam", "galore"),
)


class Style(NamedTuple):
    colour: str
    dash: str
    marker: str


def style(name: str) -> Style:
    """The style of an optimizer; one that is not in the table gets one by its name, the same in every session."""
    place = ORDER.index(name) if name in ORDER else zlib.crc32(name.encode()) % (len(COLOURS) * len(DASHES) ** 2)
    block, colour = divmod(place, len(COLOURS))
    return Style(COLOURS[colour], DASHES[block % len(DASHES)], MARKERS[(block + block // len(DASHES)) % len(MARKERS)])
