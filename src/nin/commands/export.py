"""`nin export`: a model as one file that other programs run, with the certificate of its proof beside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nin.bundle.folder import open_bundle
from nin.choices import with_choices
from nin.extras import need
from nin.run.options import ExportOptions

if TYPE_CHECKING:
    from nin.commands.proof import Export


def export(model: str | Path, options: ExportOptions | None = None, **choices: Any) -> "Export":
    """Write a model as one file that other programs run, proven equal to torch first, and its certificate beside it.

    `choices` are fields of ExportOptions: `export("runs/photos", format="onnx-int8")`. Raises ModelError, and writes
    nothing, when the file's answers are not the model's.
    """
    options = with_choices(options, choices, ExportOptions)
    bundle = open_bundle(model)
    need("torch", "sklearn")
    from nin.commands.proof import export_bundle

    return export_bundle(bundle, options)
