"""Pages that open offline: one file with style, script and pictures in it, and the pieces that make it up.

Whatever a user or a file wrote goes through `text`, which leaves no markup and no control character alive.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from pathlib import Path

from zerosum.core.console import visible
from zerosum.runs.storage.outputs import MARK

STYLE, SCRIPT = (Path(__file__).with_name(name) for name in ("page.css", "page.js"))


def text(value: object) -> str:
    """Any value as HTML text: markup escaped, control characters written out."""
    return html.escape(visible(value))


def page(title: str, opening: Iterable[str], sections: dict[str, str]) -> str:
    """One HTML page; sections without content are left out."""
    name = text(title)
    style, script = (file.read_text(encoding="utf-8") for file in (STYLE, SCRIPT))
    metas = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="generator" content="{MARK.decode()}">'
    )
    head = f'<!doctype html><html lang="en"><head>{metas}<title>{name}</title><style>{style}</style></head>'
    body = [f"<section><h2>{text(part)}</h2>{content}</section>" for part, content in sections.items() if content]
    return "\n".join([head, "<body><main>", *opening, *body, f"</main><script>{script}</script></body></html>\n"])


def table(head: Iterable[str], rows: Iterable[Iterable[str]], look: str = "") -> str:
    """An HTML table; cells may hold markup, so what users wrote must have gone through `text`."""
    lines = [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    top = "".join(f"<th>{cell}</th>" for cell in head)
    top = f"<thead><tr>{top}</tr></thead>" if top else ""
    return f'<div class="scroll"><table class="{look}">{top}<tbody>{"".join(lines)}</tbody></table></div>'


def facts(pairs: dict[str, str]) -> str:
    """A table of names and values, both escaped here."""
    return table((), ([text(name), text(value)] for name, value in pairs.items()), "facts")


def folded(summary: str, content: str) -> str:
    """Content that opens at a click."""
    return f"<details><summary>{text(summary)}</summary>{content}</details>"


def picture(content: bytes, alt: str, **data: object) -> str:
    """A PNG, WebP or JPEG within the page, as wide as its place."""
    kind = "webp" if content[:4] == b"RIFF" else "jpeg" if content[:2] == b"\xff\xd8" else "png"
    marks = "".join(f' data-{name}="{text(value)}"' for name, value in data.items())
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return f'<img style="width:100%" alt="{text(alt)}"{marks} src="{source}">'


def figure(content: bytes, caption: str) -> str:
    """A picture with a caption."""
    return f"<figure>{picture(content, caption)}<figcaption>{text(caption)}</figcaption></figure>"


def command(line: str, purpose: str) -> str:
    """A command to copy, and what it is for."""
    return f'<div class="command"><small>{text(purpose)}</small><pre>{text(line)}</pre></div>'
