"""An executed notebook as one HTML file without code, to be sent to a colleague.

    python tools/one_page.py _build/try/audit.ipynb

Prose, tables, lists and pictures stand in the file itself; nothing in it needs the network.
"""

from __future__ import annotations

import base64
import importlib
import re
import sys
from html import escape
from pathlib import Path

from nbformat import NotebookNode
from tidy import read_notebook

from hetlib import store

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em;"
    "overflow-wrap:anywhere}"
    "table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto}"
    "td,th{padding:.2em .7em;text-align:right;min-width:4em}"
    "img{max-width:100%}pre{white-space:pre-wrap}"
)


def prose(text: str) -> str:
    """Markdown as HTML; targets go, and so do roles, but for the number of a chapter."""
    text = re.sub(r"^\([\w-]+\)=\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\s*\(\{ref\}`[^`]*`\)", "", text)
    text = re.sub(r"\{ref\}`sec-0?(\d+)[\w-]*`", r"chapter \1", text)
    text = re.sub(r"\{ref\}`(?:([^`<]*?)\s*<[^`]*>|([^`]*))`", lambda m: m[1] or m[2], text)
    parser = importlib.import_module("markdown_it")  # comes with jupytext
    return str(parser.MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def output(out: NotebookNode) -> str:
    """What one output shows."""
    data = out.get("data", {})
    if "image/svg+xml" in data:
        source = base64.b64encode(data["image/svg+xml"].encode()).decode()
        return f'<img alt="figure" src="data:image/svg+xml;base64,{source}">'
    if "image/png" in data:
        return f'<img alt="figure" src="data:image/png;base64,{data["image/png"].strip()}">'
    if "text/html" in data:
        return str(data["text/html"])
    text = str(out.get("text") or data.get("text/plain", ""))
    text = re.sub(r"^\S.*?:\d+: (\w*Warning: .*)\n(?:  .*\n?)?", r"\1\n", text, flags=re.MULTILINE)
    return f"<pre>{escape(text)}</pre>"


def page(notebook: NotebookNode) -> str:
    """The whole file."""
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(prose(cell.source))
        elif cell.cell_type == "code" and "remove-cell" not in cell.metadata.get("tags", []):
            parts += map(output, cell.outputs)
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Audit of labels</title>'
    return f"{head}<style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"


def write(path: Path) -> Path:
    """Write the file beside the notebook; return where."""
    out = path.with_suffix(".html")
    store.write(out, page(read_notebook(path)))
    return out


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print(write(Path(sys.argv[1])))
