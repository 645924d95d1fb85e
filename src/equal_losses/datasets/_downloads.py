"""Files from the network, checked before anything reads them."""

import socket
import ssl
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError

from equal_losses.running.errors import InputError

_PATIENCE = 60  # seconds without a byte after which a connection is given up

# Too many redirections are a RecursionError. Other errors are the disk's and speak for themselves.
_NETWORK_ERRORS = (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError, RecursionError)


def fetch(kind: str, name: str, addresses: Sequence[str], md5: str) -> Path:
    """Download the file `name` to `results/downloads/<kind>`, unless it is there and has the checksum.

    Jobs that want the same file wait for each other. What an interrupted download leaves does not have the checksum,
    so running again mends it.

    Args:
        addresses: where the file can be had; the next one is tried where one fails.
        md5: checksum, as hex.

    Raises:
        InputError: where no address delivers a file with that checksum.
    """
    from filelock import FileLock
    from torchvision.datasets.utils import calculate_md5, download_url

    folder = Path("results/downloads", kind)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    reasons = []
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        with FileLock(folder / f".{name}.lock"):
            for address in addresses:
                try:
                    download_url(address, folder, name, md5)
                    return path
                except _NETWORK_ERRORS as error:
                    reasons.append(f"{address}: {' '.join(str(error).split())}")
                except RuntimeError:  # torchvision's word for a wrong checksum
                    reasons.append(f"what {address} delivered has md5 {calculate_md5(path)} instead of {md5}")
    finally:
        socket.setdefaulttimeout(before)
    raise InputError(f"{path}: not downloaded: {'; '.join(reasons)}; run again, or give a folder that has it as root")
