"""One GPU, one job: each job leases a device of its own before PyTorch starts.

A lease is a kernel lock on a file, one file per device, so it ends with its process however that process ends. The
files are in a folder of this machine that every workflow of the user shares.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

# Not the temporary folder of the environment: two workflows may be given different ones, and would not see each other.
LOCKS = Path(f"/tmp/equal-losses-{os.getuid()}/devices")
DRIVER = Path("/proc/driver/nvidia/gpus")

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@contextmanager
def lease(device: str, *, locks: Path = LOCKS, poll_seconds: float = 1.0) -> Iterator[None]:
    """Hold one GPU for this process alone, as its only visible one; wait while all of them are held.

    Where CUDA_VISIBLE_DEVICES is set, the lease is one of those. Under SLURM the cluster gives each job its device, and
    nothing is leased; only an allocation of several is shared out among the jobs inside it. Where there is no GPU, or
    for the device "cpu", nothing is leased. The log (standard output) says what was decided.

    Args:
        device: compute.device of the study: "auto", "cuda" or "cpu".
        locks: folder of the lock files.
        poll_seconds: how long to wait between two looks at devices that are all held.
    """
    if device == "cpu":
        print("device: CPU, as compute.device says", flush=True)
        yield
        return
    visible, allocation = visible_devices(), os.environ.get("SLURM_JOB_ID")
    if not visible:
        print("device: CPU, because no GPU is there", flush=True)
        yield
        return
    if allocation is not None and len(visible) == 1:
        print(f"device: {_VISIBLE}={visible[0]}, given by SLURM job {allocation}", flush=True)
        yield
        return
    # Inside a cluster's job the first device may be any card, so its names count within that job only.
    prefix = "" if allocation is None else f"slurm-{allocation}-"
    files = {name: locks / f"{prefix}{_identity(name)}.lock" for name in visible}
    locks.mkdir(parents=True, exist_ok=True, mode=0o700)
    name, lock = _first_free(files, poll_seconds)
    # Numbers count as nvidia-smi counts them, which is not CUDA's own default where cards differ.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    os.environ[_VISIBLE] = name
    print(f"device: {_VISIBLE}={name}, leased", flush=True)
    try:
        yield
    finally:
        lock.release()


def visible_devices() -> list[str]:
    """The GPUs that this process may use: those of CUDA_VISIBLE_DEVICES where it is set, otherwise all, by UUID."""
    given = os.environ.get(_VISIBLE)
    if given is None:
        return installed_devices()
    names = [name.strip() for name in given.split(",")]
    # As CUDA reads it: what stands behind an entry that is no device does not count.
    end = next((index for index, name in enumerate(names) if not re.fullmatch(r"\d+|(GPU|MIG)-.+", name)), len(names))
    return names[:end]


def installed_devices() -> list[str]:
    """UUIDs of this machine's NVIDIA GPUs in the order of their bus, from the driver and without PyTorch."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60).stdout
        return re.findall(r"^GPU \d+: .*\(UUID: (GPU-[^)]+)\)", listed, re.MULTILINE)
    except (OSError, subprocess.SubprocessError):
        sheets = [sheet.read_text() for sheet in sorted(DRIVER.glob("*/information"))]
        return [uuid for sheet in sheets for uuid in re.findall(r"^GPU UUID:\s+(\S+)", sheet, re.MULTILINE)]


def _identity(name: str) -> str:
    """One name for one card, whether it was given by its number or by the beginning of its UUID."""
    installed = installed_devices()
    if name.isdigit() and int(name) < len(installed):
        return installed[int(name)]
    return next((uuid for uuid in installed if uuid.startswith(name)), name.replace("/", "_"))


def _first_free(files: dict[str, Path], poll_seconds: float) -> tuple[str, FileLock]:
    waiting = False
    while True:
        for name, file in files.items():
            lock = FileLock(file)
            with suppress(Timeout):
                lock.acquire(timeout=0)
                return name, lock
        if not waiting:
            print(f"device: waiting; held by other jobs: {', '.join(files)}", flush=True)
            waiting = True
        time.sleep(poll_seconds)
