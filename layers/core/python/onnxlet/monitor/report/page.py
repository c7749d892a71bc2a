"""The page: a report as HTML in one file, which loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from onnxlet.values.tables import Block

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark }
body { font: 14px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #8884; white-space: nowrap }
figure { display: inline-block; margin: .5rem 1rem .5rem 0 }
svg { max-width: 100%; height: auto }
figcaption { font-size: 12px }
"""


def write_page(title: str, told: str, parts: Iterable[tuple[str, Iterable[Block]]]) -> str:
    """A page of parts, each with its title and what it shows; `told` is a line below the page's own title."""
    body = "".join(
        f"<section><h2>{escape(name)}</h2>{''.join(block.html() for block in blocks)}</section>"
        for name, blocks in parts
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1><p>{escape(told)}</p>{body}</body></html>\n"
    )
