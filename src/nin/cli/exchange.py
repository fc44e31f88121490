"""Results for other programs: strict JSON, and the rows of a prediction's CSV."""

import json
import math
import sys
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nin.commands.classifier import Prediction


def to_json(value: Any, *, indent: int | None = 2) -> str:
    """Strict JSON (never NaN): infinite numbers become null, paths strings, dataclasses and arrays plain values."""
    readable = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    return json.dumps(_plain(value), ensure_ascii=not readable, allow_nan=False, indent=indent)


def _plain(value: Any) -> Any:
    if isinstance(value, str) or value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return _plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    return [_plain(item) for item in value]


def json_object(prediction: "Prediction", top: int) -> dict[str, object]:
    """A prediction in Hugging Face's shape with file, unknown and ms (milliseconds), or with the error."""
    if prediction.error is not None:
        return {"file": prediction.file, "error": prediction.error}
    shown = [{"label": label, "score": score} for label, score in prediction.scores[:top]]
    unlike = {"unlike": True} if prediction.unlike else {}
    answer = {"predictions": shown, "unknown": prediction.unknown, **unlike, "ms": round(prediction.ms, 3)}
    notes = {"notes": list(prediction.notes)} if prediction.notes else {}
    return {"file": prediction.file, **answer, **notes}


def csv_header(top: int) -> list[str]:
    """file,unknown,label,score,label2,score2,...,ms,error."""
    ranks = ["", *(str(rank) for rank in range(2, top + 1))]
    return ["file", "unknown", *(f"{name}{rank}" for rank in ranks for name in ("label", "score")), "ms", "error"]


def csv_cells(prediction: "Prediction", top: int) -> list[object]:
    """The cells under `csv_header`."""
    shown: list[object] = [cell for label, score in prediction.scores[:top] for cell in (label, f"{score:.6f}")]
    unknown = "" if prediction.error is not None else str(prediction.unknown).lower()
    return [prediction.file, unknown, *shown, *[""] * (2 * top - len(shown)), f"{prediction.ms:.3f}", prediction.error]
