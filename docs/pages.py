"""The documentation as a site: `make docs`. Its pages are README.md, docs/, the notebooks with what they show, the changes, and
what docstrings say; mkdocs builds them strictly, so that a dead link is an error."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).parent.parent
PAGES, HTML = ROOT / ".site" / "pages", ROOT / ".site" / "html"
REFERENCE = """# Reference

What the docstrings say. How the calls hang together is told in [Python](api.md), how a part of one's own is made in
[extending.md](extending.md).

## From Python

::: ganlab.api.runs.train
::: ganlab.api.runs.load
::: ganlab.api.runs.Run
::: ganlab.api.sweeps.sweep
::: ganlab.api.sweeps.Sweep
::: ganlab.api.comparison.compare
::: ganlab.api.comparison.Comparison
::: ganlab.errors.UserError
::: ganlab.errors.Interrupted

## What parts meet in

::: ganlab.types
    options: {show_root_heading: false, show_if_no_docstring: true}
::: ganlab.game.terms.Term
::: ganlab.observers.observer.Observer
"""


def linked(text: str) -> str:
    """A page of the top or of notebooks/, whose links lead to pages."""
    text = re.sub(r"(\]\()(?:\.\./)?docs/", r"\1", text)
    return re.sub(r"(\]\()(?:\.\./)?(?:notebooks/)?(\w+)\.ipynb", r"\1\2.md", text).replace("](CHANGELOG.md", "](changes.md")


def page_of(book: NotebookNode, name: str) -> str:
    """A notebook as Markdown; its pictures are written into pages/images."""
    parts: list[str] = []
    for number, cell in enumerate(book.cells):
        if cell.cell_type == "markdown":
            parts.append(linked(cell.source))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for i, output in enumerate(cell.outputs):
            data = output.get("data", {})
            if "image/png" in data:
                file = PAGES / "images" / f"{name}-{number}-{i}.png"
                file.write_bytes(b64decode(data["image/png"]))
                parts.append(f"![what the cell shows](images/{file.name})")
            elif "text/html" in data:
                shown = re.sub(r"<style.*?</style>", "", data["text/html"], flags=re.DOTALL)  # of pandas: the site has its own
                shown = shown.replace('<table border="1" class="dataframe">', "<table>")
                parts.append("<div>" + re.sub(r"\n\s*", "\n", shown).strip() + "</div>")
            else:
                parts.append(f"```text\n{(output.get('text') or data.get('text/plain', '')).strip()}\n```")
    return "\n\n".join(parts) + "\n"


def stage() -> None:
    """Everything that the site is made of, in .site/pages."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES, ignore=shutil.ignore_patterns("*.py", "*.html", ".*", "__pycache__"))
    for page in PAGES.glob("*.md"):
        page.write_text(linked(page.read_text()))
    (PAGES / "index.md").write_text(linked((ROOT / "README.md").read_text()))
    (PAGES / "changes.md").write_text((ROOT / "CHANGELOG.md").read_text())
    (PAGES / "reference.md").write_text(REFERENCE)
    for file in sorted((ROOT / "notebooks").glob("*.ipynb")):
        (PAGES / f"{file.stem}.md").write_text(page_of(nbformat.read(file, as_version=4), file.stem))


def build() -> subprocess.CompletedProcess[str]:
    """Of what is staged, in .site/html; a warning is an error."""
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(ROOT / "mkdocs.yml")]
    return subprocess.run(line, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True)


def main() -> int:
    stage()
    built = build()
    look = f"look       {HTML / 'index.html'}; to search in it: python -m http.server -d {HTML}\n"
    sys.stdout.write(look if built.returncode == 0 else built.stderr)
    return built.returncode


if __name__ == "__main__":
    sys.exit(main())
