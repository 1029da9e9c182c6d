"""The documentation as a site: it is built strictly, and its pages ask for nothing from outside."""

import re
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "docs"))
import pages

pytest.importorskip("mkdocs")
OUTSIDE = re.compile(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']?(?:https?:)?//[^"'> ]*|url\(["']?(?:https?:)?//""")


@pytest.mark.long
def test_it_is_built_strictly_with_each_page_and_nothing_from_outside():
    pages.stage()
    built = pages.build()
    assert built.returncode == 0, built.stderr
    staged = {path.relative_to(pages.PAGES).with_suffix(".html") for path in pages.PAGES.rglob("*.md")}
    found = {path.relative_to(pages.HTML) for path in pages.HTML.rglob("*.html")}
    assert staged <= found
    assert len(staged) >= 20
    for path in [*pages.HTML.rglob("*.html"), *pages.HTML.rglob("*.css")]:
        assert not OUTSIDE.search(path.read_text()), path
    reference = (pages.HTML / "reference.html").read_text()
    assert "Train one GAN, as" in reference  # a docstring
    assert "data:image/png" in (pages.HTML / "first_study.html").read_text()  # what a notebook has shown
    with (pages.PAGES / "api.md").open("a") as page:
        page.write("\n[nowhere](nowhere.md)\n")
    built = pages.build()
    assert built.returncode != 0
    assert "nowhere.md" in built.stderr
    pages.stage()


def test_links_of_the_top_and_of_notebooks_lead_to_pages():
    told = "[a](docs/theory.md) [b](../docs/studies/x.md#y) [c](notebooks/first_study.ipynb) [d](CHANGELOG.md) [e](https://x.y/docs/z)"
    assert (
        pages.linked(told) == "[a](theory.md) [b](studies/x.md#y) [c](first_study.md) [d](changes.md) [e](https://x.y/docs/z)"
    )
