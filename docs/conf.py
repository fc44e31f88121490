"""How Sphinx makes the site of the pages that build_site.py lays out for it."""

from typing import Any

from sphinx.application import Sphinx

project = "nin"
extensions = ["myst_parser"]
myst_heading_anchors = 4  # links to headings are checked as a code host makes them
highlight_language = "text"
html_theme = "furo"
html_title = "nin"
html_favicon = "favicon.svg"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False
html_show_copyright = False


def in_its_language(_app: Sphinx, page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """A Korean page says so: screen readers, fonts and line breaks follow the attribute."""
    context["language"] = "ko" if page.startswith("ko/") else "en"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("html-page-context", in_its_language)
