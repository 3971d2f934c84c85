"""mkdocs' hooks: the pages that are made of the code, those that stand outside docs/, and the links between them."""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # mkdocs runs this file alone

from website import optimizers, surfaces  # noqa: E402

HERE = Path(__file__).parent
# Pages of the site that are files of the repository elsewhere.
OUTSIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md", "README.zh-CN.md": "zh.md"}
# Where else a link of the repository leads on the site.
ELSEWHERE = {"README.md": "index.md", "src/downslope/landscape/surfaces.py": "surfaces.md"}
LIVE = "play/index.html"


def on_config(config: Any) -> Any:
    """Make the pages of the code once, and put them into the navigation."""
    config.extra["pages"] = made = {**optimizers.pages(), **surfaces.pages()}
    known = [*made, *(str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md"))]
    named = set(re.findall(r"[\w/-]+\.md", str(config.nav)))
    config.nav = _navigation(config.nav, sorted(set(known) - named))
    return config


def _navigation(entries: list[Any], known: list[str]) -> list[Any]:
    """The entries with each pattern replaced by the pages that match and are not named elsewhere."""
    found: list[Any] = []
    for entry in entries:
        title, inside = next(iter(entry.items())) if isinstance(entry, dict) else (None, entry)
        if isinstance(inside, list):
            inside = _navigation(inside, known)
        elif "*" in inside:
            inside = optimizers.navigation() if inside.startswith("optimizers/") else _matching(inside, known)
            known[:] = [name for name in known if name not in inside]  # a page stands in one place
            if title is None:
                found += inside
                continue
        if inside:
            found.append(inside if title is None else {title: inside})
    return found


def _matching(pattern: str, known: list[str]) -> list[str]:
    """The pages of a pattern, the index first, in the folder that it names."""
    pages = [name for name in known if fnmatch(name, pattern) and name.count("/") == pattern.count("/")]
    return sorted(pages, key=lambda name: (not name.endswith("index.md"), name))


def on_files(files: Files, config: Any) -> Files:
    from downslope.playground.page import page

    made: dict[str, str | bytes] = dict(config.extra["pages"])
    made |= {
        here: (ROOT / name).read_text(encoding="utf-8") for name, here in OUTSIDE.items() if (ROOT / name).exists()
    }
    made[LIVE] = page()
    made |= {f"assets/{f.name}": f.read_bytes() for f in sorted((HERE / "assets").iterdir())}
    made["assets/beale.png"] = optimizers.ground()
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    for i in range(0, len(parts), 2):  # what is not code
        parts[i] = re.sub(r"(?<=\]\()([^)\s#]+)([^)]*)\)", lambda m: f"{_target(m[1], page)}{m[2]})", parts[i])
        parts[i] = re.sub(r"\[([^\]]*)\]\(outside:[^)]*\)", r"\1", parts[i])
        if page.file.src_uri in ("optimizers.md", "choose.md"):
            parts[i] = optimizers.linked(parts[i])
    text = "".join(parts)
    if page.file.src_uri == "playground.md":
        text = _embedded(text)
    return text


def _target(target: str, page: Any) -> str:
    """Where a link of the repository leads on the site; `outside:` where the site has nothing."""
    if "://" in target or target.startswith("mailto:"):
        return target
    source = page.file.src_uri
    elsewhere = {here: name for name, here in OUTSIDE.items()}
    if source in elsewhere:  # written for the repository's root
        place = target
    else:
        parts = Path("docs", source).parent.parts
        place = str(Path(*_resolved([*parts, *target.split("/")])))
    if place in OUTSIDE or place in ELSEWHERE:
        return OUTSIDE.get(place) or ELSEWHERE[place]
    if source in elsewhere:
        return place.removeprefix("docs/") if place.startswith("docs/") else f"outside:{place}"
    return target if place.startswith("docs/") else f"outside:{place}"


def _resolved(parts: list[str]) -> list[str]:
    found: list[str] = []
    for part in parts:
        if part == "..":
            found.pop()
        elif part != ".":
            found.append(part)
    return found


def _embedded(text: str) -> str:
    """The live page in place of its picture."""
    frame = f'<iframe class="live" src="{LIVE}" title="The playground" loading="lazy"></iframe>'
    text = re.sub(r"^!\[[^\]]*\]\(images/playground\.png\)$", frame, text, flags=re.MULTILINE)
    return text.replace(frame, f"{frame}\n\n[Open it on a page of its own]({LIVE}){{ .md-button }}")
