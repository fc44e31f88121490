"""`nin import`: a network of cuda-convnet, Caffe or PyTorch as a model folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nin.choices import chosen, path_of, with_choices
from nin.errors import UsageError, escape_name
from nin.extras import need
from nin.run.options import ImportOptions

if TYPE_CHECKING:
    from nin.importers.translate import Imported

MOST_FILES = 8  # of one foreign network: definition, hyper-parameters, weights, mean picture


def import_model(
    files: str | Path | Sequence[str | Path], options: ImportOptions | None = None, **choices: Any
) -> "Imported":
    """Import a network from definition files or weights of cuda-convnet, Caffe or PyTorch.

    `choices` are fields of ImportOptions: `import_model(["nin.pth"], out="model", labels="cifar10")`. Without `out`, or
    without weights among the files, nothing is written. Raises ModelError or UsageError in one line for files that
    cannot be understood, or that do not belong together.
    """
    options = with_choices(options, choices, ImportOptions)
    paths = [path_of("file", file) for file in chosen("file", files, tuple[str, ...])]
    if not paths or len(paths) > MOST_FILES:
        raise UsageError(f"{len(paths)} files are given; expected the definition or the weights of one network")
    for path in paths:
        if not path.is_file():
            found = "is a folder" if path.is_dir() else "does not exist" if not path.exists() else "is not a file"
            raise UsageError(f"{escape_name(path)} {found}; expected a definition file or a file of weights")
    out = options.out
    if out is not None and not options.overwrite and out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{escape_name(out)} is not empty; choose another --out, or replace it with --overwrite")
    need("torch")
    from nin.importers.translate import import_files

    return import_files(paths, options)
