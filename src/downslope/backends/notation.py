"""What a name becomes on paper: the symbols of the literature, and a spelling for every other name."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Symbol:
    """A letter with what stands around it."""

    base: str
    below: tuple[str, ...] = ()
    above: str = ""
    primes: int = 0
    time: str = ""

    def __str__(self) -> str:
        below = ",".join(filter(None, (*self.below, self.time)))
        above = self.above + r"\prime" * self.primes if self.above else "'" * self.primes
        if above.startswith("'"):
            return self.base + above + script("_", below)
        return self.base + script("^", above) + script("_", below)

    def at(self, time: str) -> Symbol:
        """The symbol at a time; one that is a step ahead stays so."""
        return self if self.time == "t+1" else replace(self, time=time)


def script(mark: str, content: str) -> str:
    """An index (`_`) or exponent (`^`) with braces where it needs them; nothing for nothing."""
    if not content:
        return ""
    return mark + (content if re.fullmatch(r"\w|\\infty", content) else f"{{{content}}}")


S = Symbol

# What each name is in the papers; the first symbol that is still free in the formula is taken.
NOTATION: dict[str, tuple[Symbol, ...]] = {
    "p": (S(r"\theta"), S("x")),
    "g": (S("g"),),
    "grad": (S("g"), S("d")),
    "lr": (S(r"\eta"), S(r"\gamma")),
    "eps": (S(r"\epsilon"), S(r"\varepsilon")),
    "weight_decay": (S(r"\lambda"), S("w")),
    "lambd": (S(r"\lambda"),),
    "momentum": (S(r"\mu"), S(r"\gamma")),
    "momentum_decay": (S(r"\psi"),),
    "dampening": (S(r"\tau"),),
    "lr_decay": (S(r"\delta"),),
    "exp_avg": (S("m"), S("a")),
    "exp_avg_fast": (S("m", above=r"\mathrm{fast}"),),
    "exp_avg_slow": (S("m", above=r"\mathrm{slow}"),),
    "exp_avg_sq": (S("v"), S("s")),
    "exp_avg_var": (S("s"), S("v")),
    "exp_avg_diff": (S("d"), S(r"\delta")),
    "exp_inf": (S("u"),),
    "max_exp_avg_sq": (S(r"\hat{v}"), S("v", above=r"\max")),
    "velocity": (S("v"), S("u")),
    "momentum_buffer": (S("b"), S("m")),
    "square_avg": (S("v"), S("s")),
    "grad_avg": (S(r"\bar{g}"),),
    "acc_delta": (S("u"), S("d")),
    "sum": (S("s"), S("G")),
    "sum_sq": (S("s"), S("G")),
    "prev": (S("g", above=r"\mathrm{prev}"),),
    "mean_square": (S("v"), S("s")),
    "difference": (S(r"\Delta"), S("d")),
    "step_size": (S(r"\alpha"), S(r"\Delta")),
    "step": (S(r"\alpha"), S(r"\Delta")),
    "rectify": (S("r"),),
    "bound": (S("c"), S("b")),
    "scaled": (S(r"\tilde{g}"),),
    "agree": (S("a"), S("s")),
    "warm": (S("w"),),
    "long": (S(r"\ell"),),
    "longest": (S(r"\ell", (r"\infty",)),),
    "step_sizes[0]": (S(r"\Delta", (r"\min",)),),
    "step_sizes[1]": (S(r"\Delta", (r"\max",)),),
    "etas[0]": (S(r"\eta", above="-"),),
    "etas[1]": (S(r"\eta", above="+"),),
    "mu_product": (S(r"\Pi", (r"\mu",)),),
    "unscale": (S("S", above="-1"),),  # S is the scale of the loss
    "clip_coef": (S("c"), S("C")),
    "clip_value": (S(r"\kappa"),),
    "ema_decay": (S(r"\beta", (r"\mathrm{ema}",)),),
    "ax": (S(r"\bar{\theta}"),),
    "ema": (S(r"\bar{\theta}"),),
    "average": (S(r"\bar{\theta}"), S("a")),
    "update": (S("u"), S("d"), S(r"\Delta")),
    "direction": (S("d"), S("u")),
    "delta": (S(r"\Delta"), S(r"\delta")),
    "denom": (S("d"), S("D")),
    "std": (S(r"\sigma"),),
    "factor": (S("c"), S("f")),
    "scale": (S("s"), S("c")),
    "ns_steps": (S("k"),),
    "param_norm": (S("n", (r"\theta",)),),
    "grad_norm": (S("n", ("g",)),),
    "update_norm": (S("n", ("u",)),),
    "exp_grad_norm": (S(r"\bar{n}"),),
    "trust": (S(r"\phi"), S(r"\tau")),
    "trust_coefficient": (S("k"), S("c")),
    "stretch": (S("s"), S("c")),
    "corrected": (S("c"), S(r"\tilde{g}")),
    "last_grad": (S("g", above=r"\mathrm{last}"),),
    "keep1": (S(r"\hat{\beta}", ("1",)),),
    "keep2": (S(r"\hat{\beta}", ("2",)),),
    "rate": (S(r"\alpha"), S("r")),
    "exp_avg_lr": (S(r"\bar{\alpha}"), S(r"\bar{\eta}")),
    "base_lr": (S(r"\eta", ("0",)),),
    "final_lr": (S(r"\eta", above="*"),),
    "final": (S(r"\alpha", above="*"),),
    "lower": (S(r"\alpha", (r"\mathrm{l}",)),),
    "upper": (S(r"\alpha", (r"\mathrm{u}",)),),
    "partial": (S("p"), S("q")),
    "base": (S("a"), S("b")),
    "left": (S("L"),),
    "right": (S("R"),),
    "left_root": (S(r"\hat{L}"),),
    "right_root": (S(r"\hat{R}"),),
    "left_basis": (S("Q", ("L",)),),
    "right_basis": (S("Q", ("R",)),),
    "left_order": (S("P", ("L",)),),
    "right_order": (S("P", ("R",)),),
    "row_var": (S("R"),),
    "col_var": (S("C"),),
    "variance": (S("v"), S("V")),
    "vmean": (S("v"),),
    "exp_avg_sq_row": (S("R"),),
    "exp_avg_sq_col": (S("C"),),
    "exp_avg_res_row": (S("R", above=r"\mathrm{res}"),),
    "exp_avg_res_col": (S("C", above=r"\mathrm{res}"),),
    "row_accumulator": (S(r"\mu", (r"\mathrm{row}",)),),
    "column_accumulator": (S(r"\mu", (r"\mathrm{col}",)),),
    "rbar": (S(r"\bar{r}"),),
    "grad_sum": (S("G"),),
    "turned": (S(r"\tilde{u}"), S("u")),
    "square": (S("w"), S("q")),
    "mem": (S(r"\tau"),),
    "g_avg": (S(r"\bar{g}"),),
    "share": (S("r"), S("s")),
    "signal": (S(r"\rho"), S("s")),
    "mask": (S(r"\phi"), S("m")),
    "friction": (S(r"\xi"), S("f")),
    "size": (S("a"), S("s")),
    "i_buffer": (S("i"),),
    "d_buffer": (S("d"),),
    "integral": (S("K", ("i",)),),
    "derivative": (S("K", ("d",)),),
    "pos_momentum": (S("m", above="+"),),
    "neg_momentum": (S("m", above="-"),),
    "neg_exp_avg": (S("m", above="-"),),
    "grad_sum_sq": (S(r"\nu"), S("G")),
    "constant": (S("c"), S("C")),
    "shrunk": (S(r"\tilde{\theta}"),),
    "bias_correction": (S("b"), S("c")),
    "bias_correction1": (S("b", ("1",)), S("c", ("1",))),
    "bias_correction2": (S("b", ("2",)), S("c", ("2",))),
}

GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "vartheta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "varphi", "chi", "psi", "omega",
    "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
}  # fmt: skip
WORDS = {"inf": r"\infty", "max": r"\max", "min": r"\min", "eps": r"\epsilon"}
WORDS |= {"lamda": r"\lambda", "lambd": r"\lambda"}  # Unicode's and torch's spelling
ACCENTS = {"hat": "hat", "bar": "bar", "tilde": "tilde", "dot": "dot", "check": "check", "vec": "vec"}
MODIFIERS: dict[str, dict[str, Any]] = {
    "next": {"time": "t+1"},
    "max": {"above": r"\max"},
    "min": {"above": r"\min"},
    "now": {"time": "t"},
    **{word: {"above": rf"\mathrm{{{word}}}"} for word in ("prev", "previous", "old", "new", "last")},
}
# Letters for shared values that the author did not name.
SPARE = "uwzyrqhdcaskfbnmv"


def _word(word: str) -> str:
    if word in GREEK:
        return "\\" + word
    return WORDS.get(word) or (word if len(word) == 1 or word.isdigit() else rf"\mathrm{{{word}}}")


def spelled(name: str) -> Symbol:
    r"""The symbol for a name that is in no table: \rho_\infty for `rho_inf`, \mathrm{a}_{\mathrm{b}} for words."""
    item = re.fullmatch(r"(\w+?)s?\[(\d+)\]", name)
    if item:
        return spelled(f"{item[1]}{int(item[2]) + 1}")
    name = "".join(c if c.isascii() or "GREEK" not in unicodedata.name(c, "") else _greek(c) for c in name)
    words = [w for w in name.split("_") if w] or ["x"]
    if len(words) > 1 and words[-1] == "t":
        words.pop()  # the author's own index of time
    if len(words) > 1 and words[-1] in ACCENTS:
        inner = choices("_".join(words[:-1]))[0]
        wide = "wide" if "mathrm" in inner.base and words[-1] in ("hat", "tilde") else ""
        return replace(inner, base=f"\\{wide}{ACCENTS[words[-1]]}{{{inner.base}}}")
    for at, rest in ((0, words[1:]), (-1, words[:-1])):
        if rest and words[at] in MODIFIERS:
            return replace(choices("_".join(rest))[0], **MODIFIERS[words[at]])
    parts = [part for word in words for part in re.findall(r"\d+|\D+", word)]
    return Symbol(_word(parts[0]), tuple(map(_word, parts[1:])))


def _greek(letter: str) -> str:
    word = unicodedata.name(letter).split()[-1].lower()
    return word.capitalize() if letter.isupper() else word


def choices(name: str) -> tuple[Symbol, ...]:
    """The symbols that a name may have, the usual one first, its own spelling last."""
    return (*NOTATION.get(name, ()), spelled(name))
