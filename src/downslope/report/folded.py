"""Code laid out over lines that fit."""

from __future__ import annotations


def folded(code: str, width: int) -> str:
    """Code whose calls are laid out over several lines where they are longer than the width; what is said after a
    call then stands above it."""
    lines = []
    for line in code.rstrip().splitlines():
        call, mark, said = line.partition("  # ")
        head, bracket, rest = call.partition("(")
        if len(line) <= width or not bracket or not rest.endswith(")"):
            lines.append(line)
            continue
        if mark:
            lines.append(f"# {said}")
        lines += [call] if len(call) <= width else _laid_out(head, rest[:-1], width)
    return "\n".join(lines) + "\n"


def _laid_out(head: str, inside: str, width: int) -> list[str]:
    """The lines of a call; of one call on what another gives, the last is laid out."""
    parts = inside.rpartition(")(")
    if parts[1] and parts[0].count("(") == parts[0].count(")"):
        head, inside = f"{head}({parts[0]})", parts[2]
    arguments = [inside] if len(inside) + 4 <= width else _split(inside)
    ends = "," if len(arguments) > 1 else ""
    return [f"{head}(", *(f"    {argument}{ends}" for argument in arguments), ")"]


def _split(arguments: str) -> list[str]:
    """At the commas that stand in no bracket."""
    parts, depth = [""], 0
    for letter in arguments:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
