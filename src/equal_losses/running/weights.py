"""Weights as safetensors files: plain tensors and text, nothing that runs when it is read."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from equal_losses.running.errors import InputError
from equal_losses.running.files import atomic_path

# One entry for all metadata: the order of several differs from file to file, and equal weights should be equal bytes.
_METADATA = "about"


def save(path: str | os.PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors and text to `path`, atomically.

    Raises:
        OSError: where the disk is full or may not be written to.
    """
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(on_cpu, temporary, {_METADATA: json.dumps(metadata)})
        except SafetensorError as error:
            # The library hides the system's error number in its message.
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), str(error).partition("(")[0].strip(), str(path)) from error


def load(path: str | os.PathLike, prefix: str = "") -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors, on the CPU, and metadata of a file that `save` or `gather` wrote.

    Args:
        prefix: only tensors whose names begin with it, and without it.

    Raises:
        InputError: where the file is missing, cut off or not a safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            tensors = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
            metadata = json.loads((file.metadata() or {}).get(_METADATA, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: {error}; expected a whole safetensors file") from error
    return tensors, metadata


def gather(path: str | os.PathLike, sources: Sequence[str | os.PathLike], wanted: Callable[[str], bool]) -> None:
    """Write the tensors of several safetensors files that are `wanted` by name to one file, without their metadata.

    One tensor at a time is in memory, because the snapshots of a large network do not fit there together. Where several
    files have a tensor of one name, the first one's is taken.
    """
    entries: dict[str, tuple[Path, int, dict]] = {}
    for source in map(Path, sources):
        header, begin = _header(source)
        entries |= {
            name: (source, begin, entry) for name, entry in header.items() if wanted(name) and name not in entries
        }
    # Readers ask for numbers at multiples of their size: the widest first.
    names = sorted(entries, key=lambda name: (-_WIDTHS.get(entries[name][2]["dtype"], 0), name))
    header, offset = {}, 0
    for name in names:
        start, end = entries[name][2]["data_offsets"]
        header[name] = {**entries[name][2], "data_offsets": [offset, offset + end - start]}
        offset += end - start
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for name in names:
            source, begin, entry = entries[name]
            start, end = entry["data_offsets"]
            with open(source, "rb") as content:
                content.seek(begin + start)
                if file.write(content.read(end - start)) < end - start:
                    raise InputError(f"{source}: cut off; expected a whole safetensors file")


_WIDTHS = {"I64": 8, "F64": 8, "U64": 8, "I32": 4, "F32": 4, "U32": 4, "I16": 2, "F16": 2, "BF16": 2, "U16": 2}


def _header(path: Path) -> tuple[dict[str, dict], int]:
    """Entries of a safetensors file by name, and where its data begin."""
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, path.stat().st_size)))
    except (OSError, ValueError, struct.error) as error:
        raise InputError(f"{path}: {error}; expected a whole safetensors file") from error
    header.pop("__metadata__", None)
    return header, 8 + length
