"""Pages of other origins: which of them a browser lets read the answers (cross-origin resource sharing).

Source: the Fetch standard, 3.2. Nothing of it without --cors: then a page elsewhere may send, but reads nothing.
"""

from collections.abc import Collection

from nin.server.messages import Request, Response

KEPT = "600"  # seconds that a browser may remember a permission
SENT = "Content-Type, Content-Encoding, Inference-Header-Content-Length"
READ = "Inference-Header-Content-Length, Nin-Note, Retry-After"


def permission(origins: Collection[str], request: Request) -> tuple[tuple[str, str], ...]:
    """The headers that let the page that asks read the answer; where nobody is let, none."""
    origin = request.headers.get("origin")
    if not origins:
        return ()
    if "*" in origins:
        return (("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", READ))
    if origin is None or origin not in origins:
        return (("Vary", "Origin"),)
    return (("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", READ), ("Vary", "Origin"))


def preflight(origins: Collection[str], request: Request, methods: str) -> Response | None:
    """The answer to a browser that asks beforehand; None for whatever else comes, and for origins that are not let."""
    asks = request.method == "OPTIONS" and "access-control-request-method" in request.headers
    if not asks or not {"*", request.headers.get("origin")} & set(origins):
        return None
    said = (("Access-Control-Allow-Methods", methods), ("Access-Control-Allow-Headers", SENT))
    return Response(200, b"", "text/plain", (*said, ("Access-Control-Max-Age", KEPT)))
