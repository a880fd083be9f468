"""Sphinx extension: mends what the tools below us get wrong on every page."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def mend(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Change one page before it is written.

    The settings of thebe, which would run cells on a server, are written twice: a JavaScript
    error on every page. A bibliography calls itself a list but its entries are not list items.
    """
    scripts = context["script_files"]
    scripts[:] = [script for script in scripts if "thebe" not in str(script).lower()]
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )
        # a toggle is called what it says
        context["body"] = context["body"].replace(
            '<summary aria-label="Toggle hidden content">', "<summary>"
        )


def own_modules(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Leave Python's own modules out of the list of sources: they have no page."""
    getattr(env, "_viewcode_modules", {}).pop("builtins", None)
    return []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hook."""
    app.connect("html-page-context", mend)
    app.connect("env-updated", own_modules)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
