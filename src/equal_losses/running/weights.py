"""Weights as safetensors files: plain tensors and text, nothing that runs when it is read."""

import json
import os
import re
from collections.abc import Mapping

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
    """Tensors, mapped on the CPU, and metadata of a file that `save` wrote.

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
