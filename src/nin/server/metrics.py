"""What a server counts, in Prometheus' text format 0.0.4."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PICTURES = (1, 2, 4, 8, 16, 32, 64)
KIND = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Histogram:
    """Counts of values up to each bound, and their sum."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str) -> Iterable[str]:
        """Buckets, sum and count as Prometheus reads them."""
        below = 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            yield f'{name}_bucket{{le="{bound}"}} {below}'
        yield f"{name}_sum {self.total:.9g}"
        yield f"{name}_count {below}"


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()  # (route, status)
        self.rejected: Counter[str] = Counter()  # why
        self.reloads: Counter[tuple[str, str]] = Counter()  # (model, done or failed)
        self.seconds = Histogram(SECONDS)
        self.batches = Histogram(PICTURES)

    def request(self, route: str, status: int, seconds: float, reason: str) -> None:
        """One answer went out."""
        self.requests[route, status] += 1
        self.seconds.add(seconds)
        if reason:
            self.rejected[reason] += 1

    def batch(self, pictures: int) -> None:
        """The engine was asked for so many at once."""
        self.batches.add(pictures)

    def reload(self, model: str, result: str) -> None:
        """A model's folder changed, and that was "done" or "failed"."""
        self.reloads[model, result] += 1

    def text(self, gauges: Mapping[str, tuple[str, float]], models: Mapping[str, Mapping[str, str]]) -> str:
        """The whole page. gauges: name -> (what it is, its value); models: name -> facts shown as labels."""
        out: list[str] = []

        def family(name: str, kind: str, what: str, lines: Iterable[str]) -> None:
            out.extend((f"# HELP {name} {what}", f"# TYPE {name} {kind}", *lines))

        requests = (f"{_series('nin_requests_total', route=r, status=s)} {n}" for (r, s), n in self.requests.items())
        family("nin_requests_total", "counter", "Answers by route and status.", requests)
        family("nin_request_seconds", "histogram", "From the first byte of a request to its answer.",
               self.seconds.lines("nin_request_seconds"))  # fmt: skip
        family(
            "nin_batch_pictures", "histogram", "Pictures computed together.", self.batches.lines("nin_batch_pictures")
        )
        rejected = (f"{_series('nin_rejected_total', reason=reason)} {n}" for reason, n in self.rejected.items())
        family("nin_rejected_total", "counter", "Requests refused to protect the others.", rejected)
        reloads = (f"{_series('nin_reloads_total', model=m, result=r)} {n}" for (m, r), n in self.reloads.items())
        family("nin_reloads_total", "counter", "Changes of a model's folder.", reloads)
        facts = (f"{_series('nin_model_info', model=name, **labels)} 1" for name, labels in models.items())
        family("nin_model_info", "gauge", "The models that answer now.", facts)
        for name, (what, value) in gauges.items():
            family(name, "gauge", what, [f"{name} {value:g}"])
        return "\n".join(out) + "\n"


def _series(name: str, **labels: object) -> str:
    shown = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return f"{name}{{{shown}}}"


def _escaped(value: object) -> str:
    return str(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
