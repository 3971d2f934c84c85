r"""LaTeX -> MathML, for what backends/latex.py writes: browsers draw it without a script, a font or a connection."""

from __future__ import annotations

import re
import unicodedata
from html import escape

from ..backends.notation import GREEK
from ..errors import FormulaError

TOKEN = re.compile(r"\\[a-zA-Z]+|\\\\|\\.|\d+(?:\.\d+)?|\s+|.", re.S)
ACCENTS = {"hat": "^", "widehat": "^", "bar": "¯", "tilde": "~", "widetilde": "~", "dot": "˙", "check": "ˇ", "vec": "→"}
SIGNS = {
    "cdot": "⋅", "le": "≤", "ge": "≥", "ne": "≠", "land": "∧", "lor": "∨", "neg": "¬", "infty": "∞", "prime": "′",
    "lvert": "|", "rvert": "|", "lVert": "‖", "rVert": "‖", "lfloor": "⌊", "rfloor": "⌋", "ell": "ℓ", "lbrace": "{",
    "top": "⊤", "odot": "⊙", "otimes": "⊗", "times": "×", "langle": "⟨", "rangle": "⟩", "sum": "∑", "in": "∈",
}  # fmt: skip
LETTERS = {"infty", "ell"}
VARIANTS = {"epsilon": "ϵ", "varepsilon": "ε", "vartheta": "ϑ", "phi": "ϕ", "varphi": "φ"}
FUNCTIONS = {"exp", "log", "sin", "cos", "tanh", "max", "min"}
SPACES = {",", " ", ";", "!", "quad"}
BIG = {"left", "right", "bigl", "bigr"}


def mathml(latex: str) -> str:
    """A piece of LaTeX as the inside of a `math` element. Raises FormulaError for a command that it does not know."""
    reader = _Reader(latex)
    found = reader.row(())
    return f"<mrow>{''.join(found)}</mrow>"


def greek(word: str) -> str:
    """The letter of a Greek command: `alpha`, `Gamma`."""
    if word in VARIANTS:
        return VARIANTS[word]
    case = "CAPITAL" if word[0].isupper() else "SMALL"
    return unicodedata.lookup(f"GREEK {case} LETTER {word.upper().replace('LAMBDA', 'LAMDA')}")


class _Reader:
    def __init__(self, latex: str):
        self.tokens = [t for t in TOKEN.findall(latex) if not t.isspace()]
        self.latex, self.at = latex, 0
        self.words = re.findall(r"\\(?:text|mathrm|operatorname)\{([^{}]*)\}", latex)

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def row(self, ends: tuple[str, ...]) -> list[str]:
        """What stands before one of the ends, or before all has been read; the end is left."""
        found: list[str] = []
        while self.peek() and self.peek() not in ends:
            found.append(self.scripted())
        return found

    def scripted(self) -> str:
        """An atom with its index, exponent and primes."""
        base, below, above = self.atom(), "", ""
        while self.peek() in ("_", "^", "'"):
            mark = self.take()
            if mark == "'":
                above += "<mo>′</mo>"
            elif mark == "_":
                below = self.atom()
            else:
                above += self.atom()
        above = f"<mrow>{above}</mrow>" if above else ""
        if below and above:
            return f"<msubsup>{base}{below}{above}</msubsup>"
        return f"<msub>{base}{below}</msub>" if below else f"<msup>{base}{above}</msup>" if above else base

    def atom(self) -> str:
        token = self.take()
        if token == "{":
            inside = self.row(("}",))
            self.take()
            return f"<mrow>{''.join(inside)}</mrow>"
        if token.startswith("\\"):
            return self.command(token[1:])
        if token[:1].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{token}</mi>"
        return f'<mo stretchy="false">{escape({"-": "−"}.get(token, token))}</mo>'

    def command(self, name: str) -> str:
        if name in ("frac", "dfrac"):
            style = ' displaystyle="true"' if name == "dfrac" else ""
            return f"<mfrac{style}>{self.atom()}{self.atom()}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{self.atom()}</msqrt>"
        if name in ACCENTS:
            mark = f'<mo stretchy="{str("wide" in name).lower()}">{ACCENTS[name]}</mo>'
            return f'<mover accent="true">{self.atom()}{mark}</mover>'
        if name in ("text", "mathrm", "operatorname"):
            self.take()
            while self.take() != "}":
                pass
            word = escape(self.words.pop(0))
            return f"<mtext>&#xa0;{word}&#xa0;</mtext>" if name == "text" else f'<mi mathvariant="normal">{word}</mi>'
        if name in BIG:
            bracket = self.take()
            drawn = SIGNS.get(bracket[1:], bracket)
            size = "" if name in ("left", "right") else ' minsize="1.2em" maxsize="1.2em"'
            return (
                f'<mo stretchy="true"{size} form="{"prefix" if name in ("left", "bigl") else "postfix"}">{drawn}</mo>'
            )
        if name == "begin":
            return self.cases()
        if name in SPACES:
            return '<mspace width="0.17em"/>'
        if name in SIGNS:
            if name in LETTERS:
                return f"<mi>{SIGNS[name]}</mi>"
            side = {"l": ' form="prefix"', "r": ' form="postfix"'} if name[1:] in ("vert", "Vert", "floor") else {}
            return f'<mo stretchy="false"{side.get(name[0], "")}>{SIGNS[name]}</mo>'
        if name in FUNCTIONS:
            return f'<mi mathvariant="normal">{name}</mi>'
        if name in GREEK:
            return f"<mi>{greek(name)}</mi>"
        raise FormulaError(f"the playground cannot draw \\{name}, found in {self.latex}")

    def cases(self) -> str:
        """`\\begin{cases} a & b \\\\ c & d \\end{cases}`: the name is passed over."""
        while self.take() != "}":
            pass
        rows, cells = [], []
        while True:
            cells.append("".join(self.row(("&", "\\\\", "\\end"))))
            end = self.take()
            if end == "&":
                continue
            rows.append("<mtr>" + "".join(f'<mtd style="text-align:left">{cell}</mtd>' for cell in cells) + "</mtr>")
            cells = []
            if end != "\\\\":
                break
        while self.take() != "}":
            pass
        return f'<mo stretchy="true" form="prefix">{{</mo><mtable>{"".join(rows)}</mtable>'
