"""What a server answers, and where: the simple interface, the Open Inference Protocol, and what describes them."""

from dataclasses import dataclass
from typing import Literal

Takes = Literal["nothing", "picture", "json"]


@dataclass(frozen=True)
class Route:
    """One address. `path` may hold {model} and {version}; `name` is the method of the server that answers.

    queue: the engine is needed, so there must be room in the queue.
    """

    method: Literal["GET", "POST"]
    path: str
    name: str
    takes: Takes = "nothing"

    @property
    def queues(self) -> bool:
        """Whether the engine is needed."""
        return self.takes != "nothing"


ROUTES = (
    Route("POST", "/predict", "predict", "picture"),
    Route("POST", "/explain", "explain", "picture"),
    Route("GET", "/models", "list_models"),
    Route("POST", "/models/{model}/predict", "predict", "picture"),
    Route("POST", "/models/{model}/explain", "explain", "picture"),
    Route("GET", "/healthz", "live"),
    Route("GET", "/readyz", "is_ready"),
    Route("GET", "/metrics", "show_metrics"),
    Route("GET", "/openapi.json", "show_openapi"),
    Route("GET", "/docs", "show_docs"),
    Route("GET", "/", "home"),
    Route("GET", "/v2", "oip_server"),
    Route("GET", "/v2/health/live", "oip_live"),
    Route("GET", "/v2/health/ready", "oip_ready"),
    Route("GET", "/v2/models/{model}", "oip_model"),
    Route("GET", "/v2/models/{model}/ready", "oip_model_ready"),
    Route("POST", "/v2/models/{model}/infer", "oip_infer", "json"),
    Route("GET", "/v2/models/{model}/versions/{version}", "oip_model"),
    Route("GET", "/v2/models/{model}/versions/{version}/ready", "oip_model_ready"),
    Route("POST", "/v2/models/{model}/versions/{version}/infer", "oip_infer", "json"),
)


def find(path: str) -> tuple[dict[str, Route], dict[str, str]]:
    """Method -> route of an address, and the names in it; empty when there is nothing at that address."""
    parts = path.removesuffix("/").split("/") if path != "/" else ["", ""]
    for pattern, routes in _PATTERNS.items():
        if len(pattern) == len(parts) and all(a == b or a[:1] == "{" for a, b in zip(pattern, parts, strict=True)):
            return routes, {a[1:-1]: b for a, b in zip(pattern, parts, strict=True) if a[:1] == "{"}
    return {}, {}


_PATTERNS: dict[tuple[str, ...], dict[str, Route]] = {}
for _route in ROUTES:
    _PATTERNS.setdefault(tuple(_route.path.split("/")), {})[_route.method] = _route
