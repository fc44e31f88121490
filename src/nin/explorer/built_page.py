"""The page that web/ builds, made one file with everything inside, or the first file of a folder (torch-free).

A content security policy stands in the page: the browser itself sees to it that no picture leaves the machine. In one
file it forbids every request; in a folder it allows those to where the page came from.
"""

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path

from nin.artifacts import read_bytes
from nin.errors import NinError, escape_name

PAGE = Path(__file__).with_name("page.html")
LARGEST = 4 * 2**20  # bytes of the built page; it is about 400 kB
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; media-src blob:; worker-src blob:; base-uri 'none'; form-action 'none'"
)
FOLDER_POLICY = f"{POLICY}; connect-src 'self'"


def one_file_page(files: Mapping[str, bytes]) -> bytes:
    """The page with these files inside, by the paths that it reads them under; it makes no request."""
    before, body, after = _with_policy(POLICY).rpartition("</body>")
    if not body:
        raise _unusable("has no end of its body")
    kind = "application/octet-stream"  # which no browser runs
    texts = {path: base64.b64encode(data).decode() for path, data in files.items()}
    held = "".join(
        f'<script type="{kind}" data-path="{escape(path)}">{text}</script>\n' for path, text in texts.items()
    )
    return f"{before}{held}{body}{after}".encode()


def folder_page() -> bytes:
    """The page that fetches its files from beside it."""
    return _with_policy(FOLDER_POLICY).encode()


def _with_policy(policy: str) -> str:
    """The page as it was built, with a content security policy before anything that it could hold back."""
    if not PAGE.is_file():
        raise NinError(f"{escape_name(PAGE)} is missing; build the page with make web, or install the package again")
    html = read_bytes(PAGE, limit=LARGEST).decode()
    before, head, after = html.partition("<head>")
    if not head:
        raise _unusable("has no head")
    return f'{before}{head}\n<meta http-equiv="Content-Security-Policy" content="{escape(policy, quote=False)}">{after}'


def _unusable(found: str) -> NinError:
    return NinError(f"{escape_name(PAGE)} {found}; build it again with make web")
