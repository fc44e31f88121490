"""Files that carry their own SHA-256, sealed and verified: JSON objects, and tensors as safetensors (torch-free).

The digest is over the whole file with 64 zeros where the digest stands. It shows damage; it does not prove who wrote
the file.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes
from safetensors.numpy import save as tensors_to_bytes

from nin.artifacts import AnyPath, json_bytes, read_bytes, write_bytes
from nin.errors import ArtifactError, escape_name

BLANK = b"0" * 64  # stands where the digest will be while the digest is computed
_TENSOR_DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')  # a JSON key: inside a string quotes carry backslashes
_JSON_DIGEST = re.compile(rb'\n  "sha256": "([0-9a-f]{64})"\n}\n\Z')


def _blanked_digest(data: bytes, start: int) -> bytes:
    """SHA-256, in hexadecimal digits, of `data` with the 64 bytes at `start` read as zeros."""
    return hashlib.sha256(data[:start] + BLANK + data[start + 64 :]).hexdigest().encode()


def _damaged(name: object, what: str) -> ArtifactError:
    return ArtifactError(f"{escape_name(name)} is damaged ({what}); restore it from a copy or make it again")


def write_tensors(path: AnyPath, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write a plain safetensors file, byte-identical for equal content, with its own SHA-256 in `__metadata__`."""
    if "sha256" in metadata:
        raise ArtifactError(f'{escape_name(path)} cannot be written (the metadata name "sha256" is taken); rename it')
    try:
        data = tensors_to_bytes({name: np.asarray(array, order="C") for name, array in tensors.items()})
        length = 8 + int.from_bytes(data[:8], "little")
        own = {"sha256": BLANK.decode(), **dict(sorted(metadata.items()))}
        header = {"__metadata__": own, **json.loads(data[8:length])}
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except (SafetensorError, ValueError) as error:
        raise ArtifactError(f"{escape_name(path)} cannot be written ({escape_name(error)})") from error
    text += b" " * (-len(text) % 8)  # the data of every tensor stays aligned
    write_bytes(path, seal(len(text).to_bytes(8, "little") + text + data[length:], _TENSOR_DIGEST))


def read_tensors(
    path: AnyPath, *, require_digest: bool = True, limit: int | None = None, follow: bool = True
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a safetensors file, verified; `require_digest=False` admits what other programs wrote."""
    data = read_bytes(path, limit=limit, follow=follow)
    end = _end_of_header(data, path)
    if require_digest or _TENSOR_DIGEST.search(data, 8, end):
        expect_seal(data, _TENSOR_DIGEST, path, end)
    return open_tensors(data, path)


def open_tensors(data: bytes, name: object) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a safetensors file's content, which the caller has verified; ArtifactError."""
    end = _end_of_header(data, name)
    try:
        tensors = tensors_from_bytes(data)
        metadata = dict(json.loads(data[8:end]).get("__metadata__", {}))
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(name, escape_name(error)) from error
    metadata.pop("sha256", None)
    return tensors, metadata


def _end_of_header(data: bytes, name: object) -> int:
    end = 8 + int.from_bytes(data[:8], "little")
    if not 10 <= end <= min(len(data), 16 * 2**20):  # a header of ours is a few kB
        raise _damaged(name, "not a safetensors file, or cut short")
    return end


def seal(data: bytes, place: re.Pattern[bytes]) -> bytes:
    """`data` with its SHA-256 put where `place` finds BLANK; whoever checks it reads zeros there."""
    start = next(place.finditer(data)).start(1)
    return data[:start] + _blanked_digest(data, start) + data[start + 64 :]


def expect_seal(data: bytes, place: re.Pattern[bytes], name: object, end: int) -> None:
    """Raise ArtifactError unless the digest that `place` finds before `end` is right; `name` is for the message."""
    found = place.search(data, 0, end)
    if found is None:
        raise _damaged(name, "it does not carry the SHA-256 that nin writes, or is cut short")
    if _blanked_digest(data, found.start(1)) != found[1]:
        raise _damaged(name, "SHA-256 differs from the one it was written with: changed by hand or by a fault")


def seal_json(value: Mapping[str, Any]) -> bytes:
    """A JSON object as readable UTF-8 whose last member, "sha256", is over the file with 64 zeros in its place."""
    if "sha256" in value:
        raise ArtifactError('the object cannot be sealed (its member name "sha256" is taken); rename the member')
    return seal(json_bytes({**value, "sha256": BLANK.decode()}, "the object"), _JSON_DIGEST)


def open_sealed_json(data: bytes, name: object) -> dict[str, Any]:
    """The object that `seal_json` wrote, without its digest; `name` is for the message when it was changed."""
    expect_seal(data, _JSON_DIGEST, name, len(data))
    try:
        value: dict[str, Any] = json.loads(data)  # an object: the seal was found before its closing brace
    except (ValueError, RecursionError) as error:
        raise _damaged(name, escape_name(error)) from error
    value.pop("sha256", None)
    return value
