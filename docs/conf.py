"""How Sphinx makes the site of the pages that build_site.py lays out for it."""

import re
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


EMPTY = re.compile(r"<th\b[^>]*>(?:<p></p>)?\s*</th>")  # a corner of a table: no heading of anything


def in_its_language(_app: Sphinx, page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """A Korean page says so, for screen readers, fonts and line breaks; and no reader is told of empty headings."""
    context["language"] = "ko" if page.startswith("ko/") else "en"
    if "body" in context:
        context["body"] = EMPTY.sub("<td></td>", context["body"])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("html-page-context", in_its_language)
