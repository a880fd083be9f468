"""Which files a piece of code rests on, read from its syntax; and digests of them.

Stored outputs, cells of a grid and runs of a model are held against the code that made them.
What counts is every file of hetlib that the code can reach: imports anywhere in a file, those of
packages, names that packages load on first use, modules named in a string (a worker process may
run them), and packaged data. Nothing is imported, so work in other processes is covered.
Docstrings, comments, layout and the texts of ``raise`` do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
NAME = "hetlib"
_DOTTED = re.compile(rf"\b{NAME}(?:\.[A-Za-z_]\w*)+")


class _Reading(NamedTuple):
    """What one source text does: its normal form's digest, what it refers to, its strings."""

    digest: str
    names: frozenset[str]  # dotted; a bare package ends in ".*": all that it offers
    quoted: frozenset[str]  # dotted names within strings
    text: str  # all strings, one a line


def short(content: str | bytes) -> str:
    """Twelve hexadecimal digits of a text or of bytes."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:12]


def _is_text(node: ast.expr) -> bool:
    """Whether an expression is a message: a string, put together in one of the usual ways."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp():
            return _is_text(node.left) or _is_text(node.right)
        case ast.IfExp():
            return _is_text(node.body) and _is_text(node.orelse)
        case ast.Call(func=ast.Attribute(value=value)):
            return _is_text(value)
    return False


def stripped(source: str) -> ast.Module:
    """The syntax of a source without docstrings and the texts of ``raise``."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = [ast.Constant("") if _is_text(a) else a for a in node.exc.args]
    return tree


def normal_form(source: str) -> str:
    """Python source without comments, docstrings, layout and the texts of ``raise``."""
    return ast.unparse(stripped(source))


def _walk(tree: ast.AST) -> Iterable[ast.AST]:
    """All nodes but those that only a type checker reads."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """The module of a ``from``, relative ones made absolute."""
    if not node.level:
        return node.module or ""
    above = package.split(".")
    parts = above[: len(above) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


@functools.lru_cache(maxsize=4096)
def _read(source: str, package: str) -> _Reading:
    """Parse a source text of a package, once."""
    tree = stripped(source)
    names: set[str] = set()
    bound: dict[str, set[str]] = {}
    strings: list[str] = []
    chains: list[list[str]] = []
    inner: set[ast.AST] = set()
    for node in _walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names.add(alias.name)
                target = alias.name if alias.asname else alias.name.split(".")[0]
                bound.setdefault(alias.asname or target, set()).add(target)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, package)
            for alias in node.names:
                names.add(f"{module}.{alias.name}")
                bound.setdefault(alias.asname or alias.name, set()).add(f"{module}.{alias.name}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.append(node.value)
        elif isinstance(node, ast.Attribute | ast.Name) and node not in inner:
            chain: list[str] = []
            base: ast.expr = node
            while isinstance(base, ast.Attribute):
                chain.insert(0, base.attr)
                base = base.value
                inner.add(base)
            if isinstance(base, ast.Name) and isinstance(base.ctx, ast.Load):
                chains.append([base.id, *chain])
    for first, *rest in chains:
        names |= {".".join([target, *(rest or ["*"])]) for target in bound.get(first, ())}
    names = {name for name in names if name.split(".")[0] == NAME}
    text = "\n".join(strings)
    digest = short(ast.unparse(tree))
    return _Reading(digest, frozenset(names), frozenset(_DOTTED.findall(text)), text)


class Sources:
    """The files of the package, with some texts changed if a question asks "what if".

    Args:
        root: Folder that holds the package.
        changed: Texts to use instead of those of some files.
    """

    def __init__(self, root: Path = ROOT, changed: Mapping[Path, str] | None = None):
        self.root, self.changed = root, dict(changed or {})
        found = [p for p in sorted((root / NAME).rglob("*")) if "__pycache__" not in p.parts]
        found = [p for p in found if p.is_file()]
        self.files = {p for p in found if p.suffix == ".py"}
        self.data = [p for p in found if p.suffix not in (".py", ".pyi", ".pyc", ".typed")]
        self._offers: dict[str, dict[str, str]] = {}
        self._links: dict[Path, set[Path]] = {}

    def _text(self, file: Path) -> str:
        return self.changed[file] if file in self.changed else file.read_text("utf-8")

    def _reading(self, file: Path) -> _Reading:
        return _read(self._text(file), self.name(file.parent / "__init__.py"))

    def name(self, file: Path) -> str:
        """Dotted name of a module; for data, the path from the root."""
        path = file.relative_to(self.root)
        if file.suffix != ".py":
            return path.as_posix()
        return ".".join(path.with_suffix("").parts).removesuffix(".__init__")

    def file(self, module: str) -> Path | None:
        """File of a module or of a package's ``__init__``; None if there is none."""
        base = self.root.joinpath(*module.split("."))
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path in self.files:
                return path
        return None

    def offers(self, package: str) -> dict[str, str]:
        """What a package loads on first use, by its stub: from a name to what it stands for."""
        if package not in self._offers:
            stub = self.root.joinpath(*package.split("."), "__init__.pyi")
            here: dict[str, str] = {}
            for node in ast.parse(stub.read_text("utf-8") if stub.exists() else "").body:
                if isinstance(node, ast.ImportFrom):
                    module = _absolute(node, package)
                    here |= {a.asname or a.name: f"{module}.{a.name}" for a in node.names}
            self._offers[package] = here
        return self._offers[package]

    def _resolve(self, dotted: str, whole: bool = False) -> set[Path]:
        """Files that a dotted name loads; none for ``whole`` if it is not a module itself."""
        parts = dotted.split(".")
        if whole and self.file(dotted) is None:
            return set()
        found: set[Path] = set()
        at = parts[0]
        for k, part in enumerate([*parts[1:], ""], start=1):
            file = self.file(at)
            if file is None:
                break
            found.add(file)
            if file.name != "__init__.py":
                break
            if part == "*":  # the package itself is handed on, or all is imported
                for target in self.offers(at).values():
                    found |= self._resolve(target)
            elif part and self.file(f"{at}.{part}"):
                at = f"{at}.{part}"
            elif part in self.offers(at):
                target = self.offers(at)[part]
                return found | self._resolve(".".join([target, *parts[k + 1 :]]))
            else:
                break
        main = self.root.joinpath(*parts, "__main__.py")
        return found | ({main} if whole and main in self.files else set())  # python -m package

    def _next(self, reading: _Reading) -> set[Path]:
        found = {p for p in self.data if p.name in reading.text}
        for name in reading.names:
            found |= self._resolve(name)
        for name in reading.quoted:
            found |= self._resolve(name, whole=True)
        return found

    def closure(self, *, module: str | None = None, code: str | None = None) -> set[Path]:
        """Every file that a module, or a piece of code, rests on; the module's own included.

        Raises:
            ValueError: hetlib has no such module.
        """
        waiting: set[Path] = set()
        if module is not None:
            if self.file(module) is None:
                raise ValueError(f"there is no module {module!r} in {NAME}")
            waiting |= self._resolve(module)
        if code is not None:
            waiting |= self._next(_read(code, ""))
        seen: set[Path] = set()
        while waiting:
            file = waiting.pop()
            seen.add(file)
            if file.suffix == ".py":
                if file not in self._links:
                    self._links[file] = self._next(self._reading(file))
                waiting |= self._links[file] - seen
        return seen

    def digest(self, file: Path) -> str:
        """Digest of one file: of what a module does, or of the bytes of data."""
        return self._reading(file).digest if file.suffix == ".py" else short(file.read_bytes())

    def digests(self, *, module: str | None = None, code: str | None = None) -> dict[str, str]:
        """Digests of all files of :meth:`closure`, by name."""
        files = self.closure(module=module, code=code)
        return {self.name(f): self.digest(f) for f in sorted(files)}
