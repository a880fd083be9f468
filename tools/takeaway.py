"""Sphinx extension: the first lines of a chapter, and how chapters are called.

Under a title stand the length of the chapter in words and minutes, the chapter as a notebook and
as a script, what one needs to have read and what a first reading may leave out (``book/path.yml``).
A link to a chapter that shows its title alone gets its number, too; one that shows its number
alone says its title under the pointer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from tidy import read_notebook

from hetlib import store

WORDS_A_MINUTE = 200
CHAPTER = re.compile(r"(?:^|/)((\d\d)-[\w-]+)(?:\.html)?(?:#(sec-\d\d)?)?$")
LOGGER = logging.getLogger(__name__)


def words(part: nodes.Element) -> int:
    """Words of the paragraphs that are neither folded nor output."""
    count = 0
    for paragraph in part.findall(nodes.paragraph):
        parents: list[str] = []
        node = paragraph.parent
        while node is not None:
            parents += node.get("classes", []) if isinstance(node, nodes.Element) else []
            node = node.parent
        if "dropdown" not in parents and "cell" not in parents:
            count += len(paragraph.astext().split())
    return count


def minutes(count: int) -> int:
    """Time to read so many words, in whole minutes."""
    return max(1, round(count / WORDS_A_MINUTE))


def chapter_link(number: int, text: str) -> nodes.Node:
    """A link to a chapter, resolved later."""
    return addnodes.pending_xref(
        "",
        nodes.inline(text=text),
        refdomain="std",
        reftype="ref",
        reftarget=f"sec-{number:02d}",
        refexplicit=True,
        refwarn=True,
    )


def joined(parts: list[list[nodes.Node]]) -> list[nodes.Node]:
    """``a, b and c``."""
    out: list[nodes.Node] = []
    for k, part in enumerate(parts):
        if k:
            out.append(nodes.Text(" and " if k == len(parts) - 1 else ", "))
        out += part
    return out


def way(doctree: nodes.document, entry: dict[str, Any], name: str) -> nodes.paragraph:
    """What one needs to have read, and what a first reading may leave out."""
    paragraph = nodes.paragraph(classes=["path"])
    paragraph += [nodes.strong(text="You need"), nodes.Text(f" {entry.get('before', '')}")]
    paragraph += joined(
        [
            [chapter_link(number, f"chapter {number}"), nodes.Text(f" ({why})")]
            for number, why in entry.get("needs", {}).items()
        ]
    )
    paragraph += nodes.Text(". ")
    found = {  # the text of a proof is a section, too, and has no title
        s[0].astext(): s
        for s in doctree.findall(nodes.section)
        if s.children and isinstance(s[0], nodes.title)
    }
    skipped = []
    for title in entry["skip"]:
        if title in found:
            skipped.append(found[title])
        else:
            LOGGER.warning("book/path.yml: %s has no section %r", name, title)
    links: list[list[nodes.Node]] = [
        [nodes.reference("", s[0].astext(), internal=True, refid=s["ids"][0])] for s in skipped
    ]
    paragraph += [nodes.strong(text="Skip at first"), nodes.Text(" "), *joined(links)]
    spared = sum(words(section) for section in skipped)
    paragraph += nodes.Text(f" ({minutes(spared)} min).")
    return paragraph


def lines(app: Sphinx, doctree: nodes.document) -> None:
    """Put the lines under a chapter's title."""
    folder, _, name = str(app.env.docname).rpartition("/")
    title = next(iter(doctree.findall(nodes.title)), None)
    if folder != "notebooks" or title is None:
        return
    length = words(doctree)
    text = (
        f'<p class="takeaway">{length:,} words, about {minutes(length)} minute'
        f"{'s'[: minutes(length) > 1]} to read · as a "
        f'<a href="{name}.ipynb" download>notebook with outputs</a>, as a '
        f'<a href="{name}.py" download>script</a></p>'
    )
    at = title.parent.index(title) + 1
    path = Path(app.srcdir) / "book" / "path.yml"
    app.env.note_dependency(str(path))
    entry = yaml.safe_load(path.read_text()).get(name) if path.is_file() else None
    if entry:
        title.parent.insert(at, way(doctree, entry, name))
    title.parent.insert(at, nodes.raw("", text, format="html"))


def before(node: nodes.Node) -> str:
    """The text that stands before a link in its paragraph."""
    at = node.parent.index(node)
    return "".join(sibling.astext() for sibling in node.parent.children[:at])


class ByNumber(SphinxPostTransform):
    """Chapters are called by number and title."""

    default_priority = 700  # after references are resolved
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Change one page."""
        for link, page, number in list(self.links()):
            title = self.env.titles[page].astext()
            if link.astext().lower() == f"chapter {number}":
                link["reftitle"] = title
            elif link.astext() == title:
                starts = re.search(r"(^|[.:?!]) *$", before(link))
                word = "Chapter" if starts else "chapter"
                link.insert(0, nodes.Text(f"{word} {number}, "))

    def links(self) -> Iterator[tuple[nodes.reference, str, int]]:
        """Links to the heads of chapters in the text, with page and number."""
        for link in self.document.findall(nodes.reference):
            found = CHAPTER.search(link.get("refuri", ""))
            page = f"notebooks/{found[1]}" if found else ""
            if found and page in self.env.titles and (found[3] or "#" not in link["refuri"]):
                yield link, page, int(found[2])


def files(app: Sphinx, error: Exception | None) -> None:
    """Write notebooks and scripts beside the pages."""
    folder = Path(app.outdir) / "notebooks"
    if error or app.builder.format != "html" or not folder.is_dir():
        return
    for path in sorted((Path(app.srcdir) / "notebooks").glob("*.ipynb")):
        if f"notebooks/{path.stem}" in app.env.found_docs:
            store.write(folder / path.name, path.read_bytes())
            script = jupytext.writes(read_notebook(path), fmt="py:percent")
            store.write(folder / f"{path.stem}.py", script)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hooks."""
    app.connect("doctree-read", lines)
    app.connect("build-finished", files)
    app.add_post_transform(ByNumber)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
