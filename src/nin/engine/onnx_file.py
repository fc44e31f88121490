"""ONNX files, written and read without the onnx package: what our graphs need of the format, and no more.

A file of ours carries its labels and preprocessing in its metadata and is sealed with its own SHA-256. What is read is
checked before any runtime sees it (operators, sizes, no data outside the file), and only what was understood is handed
on. Field numbers: the public onnx.proto.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nin.engine.protobuf import BYTES, FIXED32, VARINT, Value, fields, message, signed, varints
from nin.errors import ModelError
from nin.sealed import BLANK, expect_seal, seal

OPSET = 20
PRODUCER = "nin"
IR_VERSIONS = {13: 7, OPSET: 9}  # of the format, by the version of the operators that a file uses
MOST_NODES = 5_000  # that a graph may have to be read
MOST_SIDES = 8  # that a tensor may have to be read
OPERATORS = frozenset(  # those that nin.engine.graph, .resize, .quantise and .standard use
    re.findall(
        r"\w+",
        "Abs Add And ArgMax AveragePool Cast Concat Conv DequantizeLinear Div Equal Erf Flatten Floor Gather Gelu "
        "GlobalAveragePool GreaterOrEqual Less MatMul MatMulInteger Max MaxPool Min Mod Mul Or Pad QuantizeLinear "
        "Range ReduceMean ReduceMin ReduceSum Relu Reshape Round Shape Sigmoid Slice Softmax Split Sqrt Sub "
        "Transpose Where",
    )
)
_SEAL = re.compile(rb"\n\x06sha256\x12@([0-9a-f]{64})")
_SEAL_WITHIN = 4096  # bytes; the seal stands before anything that a model may choose
_TYPES = {1: "<f4", 2: "|u1", 3: "|i1", 6: "<i4", 7: "<i8", 9: "|b1", 10: "<f2", 11: "<f8"}  # TensorProto.DataType
_CODES = {np.dtype(name): code for code, name in _TYPES.items()}

Attribute = int | float | str | tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """One operator: what it reads and makes, by name."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str
    attributes: dict[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Port:
    """An input or output of the whole graph: its type and its sides, by number or by name where they may vary."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """Everything in an ONNX file: nodes in order, the arrays they use by name, ports, and words about it all."""

    name: str
    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: dict[str, str]
    opset: int = OPSET


def to_bytes(graph: Graph, version: str) -> bytes:
    """The graph as a sealed ONNX file for any runtime; equal graphs give equal bytes. `version`: of this program."""
    props = [message((1, "sha256"), (2, BLANK)), *(message((1, k), (2, v)) for k, v in sorted(graph.metadata.items()))]
    body = message(
        (1, [_node(node) for node in graph.nodes]),
        (2, graph.name),
        (5, [_tensor(name, array) for name, array in graph.constants.items()]),
        (11, [_port(port) for port in graph.inputs]),
        (12, [_port(port) for port in graph.outputs]),
    )
    operators = message((1, ""), (2, graph.opset))
    head = message((1, IR_VERSIONS[graph.opset]), (2, PRODUCER), (3, version), (14, props[:1]), (8, operators))
    return seal(head + message((7, body), (14, props[1:])), _SEAL)


def from_bytes(data: bytes, what: str) -> Graph:
    """Read and check a file that `to_bytes` wrote; `what` names it in messages.

    Raises ModelError for a file of another program, a changed or damaged one, unknown operators, data outside the file.
    """
    if not _SEAL.search(data, 0, _SEAL_WITHIN):
        raise ModelError(f"{what} is no ONNX file of nin, or is damaged; expected a file that nin export wrote")
    expect_seal(data, _SEAL, what, _SEAL_WITHIN)
    metadata: dict[str, str] = {}
    body: memoryview | None = None
    opset = 0
    for number, value in _parts(memoryview(data), what):
        if number == 14:
            pair = {place: _text(text) for place, text in _parts(value, what)}
            metadata[pair.get(1, "")] = pair.get(2, "")
        elif number == 7:
            body = value
        elif number == 8:
            opset = dict(_parts(value, what)).get(2, 0)
        elif number in (20, 25):
            raise ModelError(f"{what} holds functions or training information; expected a graph that nin export wrote")
    if body is None:
        raise ModelError(f"{what} holds no graph; export it again")
    if opset not in IR_VERSIONS:
        raise ModelError(f"{what} uses operators of a version that nin never writes ({opset!r}); export it again")
    metadata.pop("sha256", None)
    return replace(_graph(body, metadata, what), opset=opset)


def _graph(data: memoryview, metadata: dict[str, str], what: str) -> Graph:
    nodes: list[Node] = []
    constants: dict[str, np.ndarray] = {}
    ports: dict[int, list[Port]] = {11: [], 12: []}
    name = ""
    for number, value in _parts(data, what):
        if number == 1:
            nodes.append(_read_node(value, what))
        elif number == 2:
            name = _text(value)
        elif number == 5:
            constants.update([_read_tensor(value, what)])
        elif number in ports:
            ports[number].append(_read_port(value, what))
        if len(nodes) > MOST_NODES:
            raise ModelError(f"{what} holds more than {MOST_NODES:,} operators; expected one small network")
    return Graph(name, tuple(nodes), constants, tuple(ports[11]), tuple(ports[12]), metadata)


def _node(node: Node) -> bytes:
    attributes = [_attribute(name, value) for name, value in sorted(node.attributes.items())]
    return message((1, node.inputs), (2, node.outputs), (3, node.name), (4, node.op), (5, attributes))


def _attribute(name: str, value: Attribute) -> bytes:
    parts: dict[type, list[tuple[int, Any]]] = {
        float: [(2, value), (20, 1)],
        int: [(3, value), (20, 2)],
        str: [(4, value), (20, 3)],
        tuple: [(8, value), (20, 7)],
    }
    return message((1, name), *parts[type(value)])


def _tensor(name: str, array: np.ndarray) -> bytes:
    array = np.asarray(array, order="C")
    shape: list[Value] = list(array.shape)
    return message((1, shape), (2, _CODES[array.dtype]), (8, name), (9, array.tobytes()))


def _port(port: Port) -> bytes:
    sides = [message((1 if isinstance(side, int) else 2, side)) for side in port.shape]
    tensor = message((1, _CODES[np.dtype(port.dtype)]), (2, message((1, sides))))
    return message((1, port.name), (2, message((1, tensor))))


def _parts(data: object, what: str) -> Iterator[tuple[int, Any]]:
    """The fields of a message as (number, value)."""
    if not isinstance(data, memoryview):
        raise ModelError(f"{what} is damaged (a number where a message is expected); export it again")
    for number, _, value in fields(data, what):
        yield number, value


def _text(value: object) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, memoryview) else ""


def _read_node(data: memoryview, what: str) -> Node:
    inputs = []
    outputs = []
    op = ""
    name = ""
    attributes: dict[str, Attribute] = {}
    for number, value in _parts(data, what):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number == 3:
            name = _text(value)
        elif number == 4:
            op = _text(value)
        elif number == 5:
            attributes.update([_read_attribute(value, what)])
        elif number == 7 and _text(value):
            raise ModelError(f"{what} has an operator of another domain; expected a graph that nin export wrote")
    if op not in OPERATORS:
        raise ModelError(f"{what} has the operator {op[:40]!r}, which nin never writes; export the model again")
    return Node(op, tuple(inputs), tuple(outputs), name, attributes)


def _read_attribute(data: memoryview, what: str) -> tuple[str, Attribute]:
    name = ""
    whole = []
    found: Attribute | None = None
    for number, kind, value in fields(data, what):
        if number == 1:
            name = _text(value)
        elif number == 2 and kind == FIXED32 and isinstance(value, memoryview):
            found = float(np.frombuffer(value, "<f4")[0])
        elif number == 3 and isinstance(value, int):
            found = signed(value)
        elif number == 4:
            found = _text(value)
        elif number == 8 and kind == BYTES and isinstance(value, memoryview):
            whole += [signed(each) for each in varints(value, what)]
        elif number == 8 and isinstance(value, int):
            whole.append(signed(value))
        elif number not in (20, 13) or kind != VARINT:
            raise ModelError(f"{what} has an attribute that nin never writes ({name[:40]!r}); export the model again")
    return name, tuple(whole) if found is None else found


def _read_tensor(data: memoryview, what: str) -> tuple[str, np.ndarray]:
    shape: list[int] = []
    name = ""
    code = 0
    raw = b""
    for number, value in _parts(data, what):
        if number == 1:
            shape += [signed(each) for each in ([value] if isinstance(value, int) else varints(value, what))]
        elif number == 2 and isinstance(value, int):
            code = value
        elif number == 8:
            name = _text(value)
        elif number == 9 and isinstance(value, memoryview):
            raw = bytes(value)
        else:
            raise ModelError(
                f"{what} keeps numbers outside the file or in a form that nin never writes; export it again"
            )
    dtype = np.dtype(_TYPES.get(code, "V0"))
    fits = 0 <= len(shape) <= MOST_SIDES and all(0 <= side <= len(raw) for side in shape)
    if dtype.itemsize == 0 or not fits or int(np.prod(shape, dtype=np.float64)) * dtype.itemsize != len(raw):
        raise ModelError(f"{what} has numbers {name[:60]!r} whose size is not what it says; export it again")
    return name, np.frombuffer(raw, dtype).reshape(shape)


def _read_port(data: memoryview, what: str) -> Port:
    """Only the type and sides of a tensor; anything else is refused."""
    inner: Mapping[int, Any] = dict(_parts(data, what))
    tensor = dict(_parts(dict(_parts(inner.get(2, memoryview(b"")), what)).get(1, memoryview(b"")), what))
    shape: list[int | str] = []
    for number, side in _parts(tensor.get(2, memoryview(b"")), what):
        for place, value in _parts(side, what) if number == 1 else ():
            shape.append(value if isinstance(value, int) else _text(value) if place == 2 else "")
    if tensor.get(1) not in _TYPES or len(shape) > MOST_SIDES:
        raise ModelError(f"{what} has the port {_text(inner.get(1))[:40]!r} of another type; export it again")
    return Port(_text(inner.get(1)), _TYPES[tensor[1]], tuple(shape))
