"""All claims that were run, as one page that needs nothing else, with its pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from ..textbook.checks import Span, shown
from ..textbook.registry import CHAPTERS, by_name
from ..textbook.run import Finished
from ..textbook.verdict import VERDICTS
from .parts import cell, resource, table
from .textbook_png import picture
from .textbook_table import OUTCOME, runs_of

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>The textbook, tested</title>
<style>{style}
img {{ max-width: 100%; height: auto; background: white; }}
td:first-child, th:first-child {{ text-align: left; }}
.holds {{ color: var(--good); }} .limits {{ color: var(--open); }} .not {{ color: var(--faint); }}
</style>
</head>
<body>
<main>
<h1>The textbook, tested</h1>
{body}
</main>
</body>
</html>
"""
KINDS = dict(zip(VERDICTS, ("holds", "limits", "not")))


def html(every: Sequence[Finished]) -> str:
    """The page, about 50 kB a claim."""
    counts = ", ".join(f"{sum(one.verdict == v for one in every)} {v}" for v in VERDICTS)
    parts = [f'<p class="verdict">{len(every)} claim{"s" * (len(every) != 1)}: {counts}</p>', _contents(every)]
    for chapter, slugs in CHAPTERS.items():
        held = [one for one in every if one.slug in slugs]
        if held:
            parts += [f"<section><h2>{escape(chapter)}</h2>", *map(_claim, held), "</section>"]
    return PAGE.format(style=resource("style.css"), body="\n".join(parts))


def _contents(every: Sequence[Finished]) -> str:
    rows = (
        f'<tr>{cell(f"""<a href="#{one.slug}">{escape(one.title)}</a>""")}'
        f"{cell(escape(one.verdict), KINDS[one.verdict])}</tr>"
        for one in every
    )
    return table("contents", [("claim", "text"), ("verdict", "")], rows)


def _claim(one: Finished) -> str:
    shot = base64.b64encode(picture(one.pictured())).decode()
    checks = (
        f"<tr>{cell(escape(kind + ': ' + expected))}{cell(OUTCOME[outcome])}{cell(escape(found))}</tr>"
        for kind, held in (("decides", one.core), ("limits", one.reach))
        for expected, outcome, found in held
    )
    figures = (
        f"<tr>{cell(escape(name))}{cell(shown(Span(m['mean'], m['low'], m['high'])))}</tr>"
        for name, m in one.measures.items()
    )
    return "\n".join(
        [
            f'<h3 id="{one.slug}">{escape(one.title)}: <span class="{KINDS[one.verdict]}">{one.verdict}</span></h3>',
            f"<p>{escape(one.says)} <small>{escape(one.source)}.</small></p>",
            f'<img alt="{escape(one.title)}" src="data:image/png;base64,{shot}">',
            f'<p class="note">{escape(one.how)} Tried on {escape(one.task)}, {runs_of(one)}.</p>',
            table("checks", [("the rule", "text"), ("", ""), ("measured", "")], checks),
            "<details><summary>All figures, and the code</summary>",
            table("figures", [("figure", "text"), ("mean (95 % interval)", "")], figures),
            f"<pre><code>{escape(by_name(one.slug).code)}</code></pre></details>",
        ]
    )
