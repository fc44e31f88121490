"""Where in a checkpoint the weights are: every table of tensors by name in it, whatever lies around and beside them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from nin.errors import ModelError, escape_name

MOST_TENSORS = 10_000  # of a table
MOST_PARTS = 20_000  # lists and tables of a file
DEEPEST = 6  # levels of them that are searched
UNDER = ("", "state_dict", "model_state_dict", "model", "net", "network", "weights", "params")  # the usual ones first
AVERAGED = re.compile(r"ema|averaged?|swa|teacher", re.IGNORECASE)  # a second copy of the weights, taken last
TRAINING = re.compile(r"optim|sched|scaler|loops|callbacks", re.IGNORECASE)  # tensors that are no weights
TRANSPARENT = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
PRUNED = ("_orig", "_mask")  # torch.nn.utils.prune: the weight is their product
Tables = dict[str, dict[str, Tensor]]


def tables_of(root: Any, what: str) -> Tables:
    """The tables of tensors in what a file holds, by where they lie ("" is the file itself), the likeliest first.

    Names lose what torch.compile and FSDP put into them, and pruned weights are multiplied by their masks. Raises
    ModelError in one line where there is no table, or more than a network has.
    """
    found: Tables = {}
    for place, part in _parts(root):
        table = {name: value.detach() for name, value in part.items() if isinstance(value, Tensor)}
        if not table:
            continue
        if len(table) > MOST_TENSORS or not all(isinstance(name, str) for name in table):
            if place:  # an optimizer's, for example
                continue
            raise ModelError(f"{what} holds {len(table):,} tensors, some without a name; expected one network")
        found[place] = table
    if not found:
        usual = " or ".join(UNDER[1:4])
        raise ModelError(f"{what} holds no tensors by name; expected a state_dict, alone or under {usual}")
    for place, table in found.items():
        for name, tensor in table.items():
            _expect_filled(tensor, f"{what}: {escape_name(name)[:80]}")
        found[place] = _plain(table)
    return dict(sorted(found.items(), key=lambda item: _rank(item[0])))


def _expect_filled(tensor: Tensor, what: str) -> None:
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ModelError(f"{what} has the shape {tuple(tensor.shape)}, which its numbers do not fill; get it again")


def _parts(root: Any) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Every table in the object, also in tables and lists in it, and where it lies."""
    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    for _ in range(MOST_PARTS):
        if not waiting:
            return
        place, part, depth = waiting.pop(0)
        if isinstance(part, dict):
            yield place, part
        items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list | tuple) else ()
        if depth < DEEPEST:
            for name, value in items:
                if isinstance(value, dict | list | tuple) and not TRAINING.search(str(name)):
                    waiting.append((f"{place}.{name}".lstrip("."), value, depth + 1))


def _rank(place: str) -> tuple[bool, int]:
    last = place.rpartition(".")[2]
    return bool(AVERAGED.search(place)), UNDER.index(last) if last in UNDER else len(UNDER)


def _plain(table: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The table without what compiling, sharding and pruning add to it."""
    shorter = {TRANSPARENT.sub("", name): tensor for name, tensor in table.items()}
    table = shorter if len(shorter) == len(table) else dict(table)
    plain: dict[str, Tensor] = {}
    for name, tensor in table.items():
        base = name.removesuffix(PRUNED[0])
        mask = table.get(base + PRUNED[1])
        if name.endswith(PRUNED[0]) and mask is not None and mask.shape == tensor.shape:
            plain[base] = tensor * mask
        elif not (name.endswith(PRUNED[1]) and name.removesuffix(PRUNED[1]) + PRUNED[0] in table):
            plain[name] = tensor
    return plain
