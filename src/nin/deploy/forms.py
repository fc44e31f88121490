"""The picture in the body of a request: the body itself, or the one file of a multipart form (RFC 7578)."""

import re

from nin.deploy.messages import Refused, Request

PARTS = 16  # of one form
HOW = "send the picture itself with Content-Type: image/jpeg (or another image type), or as the file of a form"
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_FILE = re.compile(rb"^content-disposition:[^\r\n]*;\s*filename\*?=", re.IGNORECASE | re.MULTILINE)


def expect_picture(request: Request) -> None:
    """Refused (415) when the head announces something that no picture comes in."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (kind.startswith("image/") or kind in ("", "application/octet-stream", "multipart/form-data")):
        raise Refused(415, f"a body of this type is not read; {HOW}")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refused(415, "a compressed body is not read; send the picture as it is")


def picture_in(request: Request) -> bytes:
    """The bytes of the picture; Refused (400) when there is none, or more than one."""
    kind = request.headers.get("content-type", "")
    body = bytes(request.body)
    if kind.partition(";")[0].strip().lower() == "multipart/form-data":
        found = _BOUNDARY.search(kind)
        if found is None:
            raise Refused(400, "the form has no boundary in its Content-Type")
        body = _file(body, (found[1] or found[2]).encode("latin-1"))
    if not body:
        raise Refused(400, f"the body is empty; {HOW}")
    return body


def _file(body: bytes, boundary: bytes) -> bytes:
    """The content of the one part that has a file name."""
    _before, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary, PARTS + 2)
    if len(parts) > PARTS + 1:
        raise Refused(400, f"the form has more than {PARTS} parts")
    if not parts or not parts[-1].startswith(b"--"):
        raise Refused(400, "the form has no end; its boundary is missing or the body is cut")
    files = []
    for part in parts[:-1]:
        padding, line_end, rest = part.partition(b"\r\n")
        head, empty_line, content = (b"\r\n" + rest).partition(b"\r\n\r\n")
        if padding.strip(b" \t") or not line_end or not empty_line:
            raise Refused(400, "a part of the form has no readable head")
        files += [content] if _FILE.search(head) else []
    if len(files) != 1:
        raise Refused(400, f"the form has {len(files)} files; send one picture")
    return files[0]
