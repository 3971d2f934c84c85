"""All published rules, tool by tool, in the order in which alarms of one step are named."""

from __future__ import annotations

from . import cs231n, sagemaker, umlaut
from .record import Rule

RULES: list[Rule] = [*sagemaker.RULES, *umlaut.RULES, *cs231n.RULES]
TOOLS = list(dict.fromkeys(rule.tool for rule in RULES))
