"""What a request asks of a picture: the body itself or the one file of a multipart form (RFC 7578), and how much of it.

What a body is called matters little: curl, urllib and Ruby call every body a form that is not multipart, wget and fetch
call it nothing. Its first bytes decide. Model, top and maps come in the query or as fields of the form.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from nin.server.messages import Refused, Request

PARTS = 16  # of one form
FIELDS = ("model", "top", "maps")
HOW = "send the picture itself, or as the file of a form"
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_PART = re.compile(rb"^content-disposition:([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_NAME = re.compile(rb';\s*name=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_FILE = re.compile(rb";\s*filename\*?=", re.IGNORECASE)


def content_kind(request: Request) -> str:
    """The media type that the request names, in small letters and without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def expect_plain(request: Request) -> None:
    """Refused (415) when the head announces a compressed picture."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refused(415, "a compressed body is not read; send the picture as it is")


def read_query(text: str) -> dict[str, str]:
    """The query of a picture's request: model, top and maps, each once."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=8)
    except ValueError:
        raise Refused(400, "the query is not readable; it is written ?top=3&maps=1") from None
    query = dict(pairs)
    if len(query) < len(pairs) or not set(query) <= set(FIELDS):
        raise Refused(400, "the query has a name twice, or another one than model, top and maps")
    return query


def read_picture_body(request: Request, query: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """The bytes of the picture, and the query with what a form adds; Refused when there is none, or more than one."""
    body = bytes(request.body)
    kind = content_kind(request)
    asked = dict(query)
    if kind == "multipart/form-data":
        found = _BOUNDARY.search(request.headers["content-type"])
        if found is None:
            raise Refused(400, "the form has no boundary in its Content-Type")
        body, fields = _read_form(body, (found[1] or found[2]).encode("latin-1"))
        if set(fields) & set(query):
            raise Refused(400, "the form and the query have the same field; name it once")
        asked.update(fields)
    elif kind in ("application/json", "application/x-ndjson") and body.lstrip()[:1] in (b"{", b"[", b'"'):
        raise Refused(415, f"JSON holds no picture here; {HOW}, or ask at /v2")
    if not body:
        raise Refused(400, f"the body is empty; {HOW}")
    return body, asked


def unreadable(request: Request, reason: str) -> str:
    """Why a picture cannot be read, with what curl's -d does to one where that may be it."""
    if content_kind(request) == "application/x-www-form-urlencoded":
        return f"the picture cannot be read: {reason}; {HOW} (with curl: --data-binary @FILE, not -d)"
    return f"the picture cannot be read: {reason}"


def _read_form(body: bytes, boundary: bytes) -> tuple[bytes, dict[str, str]]:
    """The content of the one part that is a file, and the fields beside it."""
    _before, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary, PARTS + 2)
    if len(parts) > PARTS + 1:
        raise Refused(400, f"the form has more than {PARTS} parts")
    if not parts or not parts[-1].startswith(b"--"):
        raise Refused(400, "the form has no end; its boundary is missing or the body is cut")
    files: list[bytes] = []
    fields: dict[str, str] = {}
    for part in parts[:-1]:
        padding, line_end, rest = part.partition(b"\r\n")
        head, empty_line, content = (b"\r\n" + rest).partition(b"\r\n\r\n")
        described = _PART.search(head)
        if padding.strip(b" \t") or not line_end or not empty_line or described is None:
            raise Refused(400, "a part of the form has no readable head")
        found = _NAME.search(described[1])
        name = (found[1] or found[2] or b"").decode("latin-1") if found else ""
        if _FILE.search(described[1]) or name == "file":
            files.append(content)
        elif name not in FIELDS or name in fields:
            raise Refused(400, "the form has a field twice, or another one than file, model, top and maps")
        else:
            fields[name] = _text(content)
    if len(files) != 1:
        raise Refused(400, f"the form has {len(files)} files; send one picture")
    return files[0], fields


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Refused(400, "a field of the form is not text in UTF-8") from None


def top_of(query: Mapping[str, str], default: int, most: int, words: str = "") -> int:
    """How many classes are asked for."""
    text = query.get("top", str(default))
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= most:
        raise Refused(400, f"top is not a whole number from 1 to {most}{words}")
    return int(text)


def maps_of(query: Mapping[str, str]) -> bool:
    """Whether class maps are asked for."""
    if query.get("maps", "0") not in ("0", "1"):
        raise Refused(400, "maps is neither 0 nor 1")
    return query.get("maps") == "1"
