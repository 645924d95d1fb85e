"""Weights as safetensors files: plain tensors and text, nothing that runs when it is read, and a checksum."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .errors import InputError
from .files import atomic_path

# One entry for all metadata: the order of several differs from file to file, and equal weights should be equal bytes.
_METADATA = "about"
_CHECKSUM = "sha256"


def save(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors and text to `path`, atomically.

    Raises:
        OSError: where the disk is full or may not be written to.
    """
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = json.dumps({**metadata, _CHECKSUM: _checksum(on_cpu, metadata)})
    with atomic_path(path) as temporary:
        try:
            save_file(on_cpu, temporary, {_METADATA: about})
        except SafetensorError as error:
            # The library hides the system's error number in its message.
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), str(error).partition("(")[0].strip(), str(path)) from error


def load(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors, on the CPU, and metadata of a file that `save` wrote.

    Raises:
        InputError: where the file is missing, cut off, damaged or not a safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = json.loads((file.metadata() or {})[_METADATA])
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: {error}; allowed: a whole safetensors file") from error
    except (KeyError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not written by this library, or damaged") from error
    if metadata.pop(_CHECKSUM, None) != _checksum(tensors, metadata):
        raise InputError(f"{path}: damaged, its checksum does not fit; allowed: a whole safetensors file")
    return tensors, metadata


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    hashed = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hashed.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return hashed.hexdigest()
