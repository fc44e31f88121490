"""A published page read by means of its own: Python's HTML parser, as a browser would find its parts."""

import base64
from html.parser import HTMLParser


class Held(HTMLParser):
    """The files in the scripts of a page, its policies, and the element that stands first in its head."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.files: dict[str, bytes] = {}
        self.policies: list[str] = []
        self.first_in_head = ""
        self.scripts: list[str] = []
        self._path: str | None = None
        self._text: list[str] = []
        self._head = False
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if self._head and not self.first_in_head:
            self.first_in_head = f"{tag} {found.get('http-equiv')}"
        self._head = self._head or tag == "head"
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policies.append(found["content"])
        if tag == "script":
            self._path = found.get("data-path")
            self._text = []
            assert self._path is None or found["type"] == "application/octet-stream"

    def handle_data(self, data):
        self._text.append(data)

    def handle_endtag(self, tag):
        if tag == "script" and self._path is not None:
            assert self._path not in self.files
            self.files[self._path] = base64.b64decode("".join(self._text), validate=True)
        elif tag == "script":
            self.scripts.append("".join(self._text))
        self._path = None
