"""Reads what a GGUF model file says about itself, without loading it.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian). Only the key-value
part at the beginning is read, never a tensor.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rlm_core.errors import BackendError

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_QUANTIZATIONS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 32: "BF16",
}  # fmt: skip


@dataclass(frozen=True)
class GgufInfo:
    """``context_length`` is what the model was trained for, in tokens; None where the file does not say."""

    architecture: str | None
    context_length: int | None
    parameters: str | None
    quantization: str | None
    has_chat_template: bool


def read_gguf(path: Path) -> GgufInfo:
    """What the file says about its model.

    Raises BackendError when the file cannot be read or is no GGUF file.
    """
    try:
        with path.open("rb") as file:
            values = _read(file)
    except OSError as error:
        raise BackendError(f"The model file {path} cannot be read: {error.strerror}.") from None
    except (struct.error, ValueError, KeyError) as error:
        raise BackendError(f"{path} is not a GGUF model file ({error}).") from None
    architecture = _text(values.get("general.architecture"))
    length = values.get(f"{architecture}.context_length")
    kind = values.get("general.file_type")
    return GgufInfo(
        architecture=architecture,
        context_length=length if isinstance(length, int) else None,
        parameters=_text(values.get("general.size_label")),
        quantization=_QUANTIZATIONS.get(kind) if isinstance(kind, int) else None,
        has_chat_template="tokenizer.chat_template" in values,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _read(file: BinaryIO) -> dict[str, object]:
    if file.read(4) != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    version, _, entries = _unpack(file, "IQQ")
    if version not in (2, 3):
        raise ValueError(f"version {version} of the format is unknown")
    values: dict[str, object] = {}
    for _ in range(entries):
        key = _string(file)
        (kind,) = _unpack(file, "I")
        values[key] = _value(file, kind)
    return values


def _value(file: BinaryIO, kind: int) -> object:
    if kind == _TEXT:
        return _string(file)
    if kind != _ARRAY:
        return _unpack(file, _NUMBERS[kind])[0]
    item, size = _unpack(file, "IQ")
    if item in _NUMBERS:
        file.seek(size * struct.calcsize(_NUMBERS[item]), 1)
        return None
    for _ in range(size):
        _value(file, item)
    return None


def _string(file: BinaryIO) -> str:
    (size,) = _unpack(file, "Q")
    if size > 1 << 26:
        raise ValueError("a text in it is too long")
    return file.read(size).decode("utf-8", "replace")


def _unpack(file: BinaryIO, layout: str) -> tuple[int, ...]:
    data = file.read(struct.calcsize("<" + layout))
    return struct.unpack("<" + layout, data)
