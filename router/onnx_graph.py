"""Writes ONNX models: nodes and weights in, the bytes of a model file out, as onnxruntime reads them.

The few protobuf messages that takes (onnx.proto3, opset 18 and com.microsoft 1) are written here, so that the package
onnx is not needed. Knows no model.
"""

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray

Attribute: TypeAlias = int | float

_ELEMENT = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
"""TensorProto.DataType of a dtype's name."""
_IR_VERSION, _OPSET = 10, 18
_OURS = "com.microsoft"
"""The domain of onnxruntime's own, fused operators."""


class Graph:
    """A graph under construction. Values are named by strings; `node` makes one, `weight` adds a constant."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[bytes] = []
        self._weights: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> str:
        """A value given at each run; a dimension named by a text may differ between runs."""
        self._inputs.append(_value(name, dtype, shape))
        return name

    def output(self, name: str, dtype: str, shape: Sequence[int | str]) -> None:
        """Declare that a run returns this value."""
        self._outputs.append(_value(name, dtype, shape))

    def weight(self, array: "NDArray[Any]") -> str:
        """A constant; its bytes are copied."""
        name = f"w{len(self._weights)}"
        dims = b"".join(_int(1, size) for size in array.shape)
        tensor = dims + _int(2, _ELEMENT[array.dtype.name]) + _text(8, name) + _bytes(9, array.tobytes())
        self._weights.append(tensor)
        return name

    def node(self, op: str, *inputs: str, fused: bool = False, **attributes: Attribute) -> str:
        """The only output of operator `op`; `fused` ones are onnxruntime's own. An input "" is left out."""
        name = f"n{len(self._nodes)}"
        body = b"".join(_text(1, value) for value in inputs) + _text(2, name) + _text(3, name) + _text(4, op)
        body += b"".join(_bytes(5, _attribute(key, value)) for key, value in attributes.items())
        self._nodes.append(body + (_text(7, _OURS) if fused else b""))
        return name

    def model(self) -> bytes:
        """The whole model file."""
        graph = b"".join(_bytes(1, node) for node in self._nodes) + _text(2, self._name)
        graph += b"".join(_bytes(5, weight) for weight in self._weights)
        graph += b"".join(_bytes(11, value) for value in self._inputs)
        graph += b"".join(_bytes(12, value) for value in self._outputs)
        opsets = _bytes(8, _text(1, "") + _int(2, _OPSET)) + _bytes(8, _text(1, _OURS) + _int(2, 1))
        return _int(1, _IR_VERSION) + _bytes(7, graph) + opsets


def _value(name: str, dtype: str, shape: Sequence[int | str]) -> bytes:
    """A ValueInfoProto."""
    dims = b"".join(_bytes(1, _int(1, size) if isinstance(size, int) else _text(2, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _int(1, _ELEMENT[dtype]) + _bytes(2, dims)))


def _attribute(name: str, value: Attribute) -> bytes:
    """An AttributeProto."""
    if isinstance(value, float):
        return _text(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _int(20, 1)
    return _text(1, name) + _int(3, value) + _int(20, 2)


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """A number in groups of seven bits, the lowest first; negative ones as 64-bit two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
