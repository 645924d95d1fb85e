"""Where and with which roundings PyTorch computes."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from equal_losses.running.errors import InputError


def resolve_device(name: str) -> torch.device:
    """ "cpu", "cuda", or "auto": a GPU if there is one.

    Raises:
        InputError: for "cuda" where there is no GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("compute.device: 'cuda', but no GPU is there; allowed here: auto, cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@contextmanager
def reproducible(threads: int, *, compiled: bool = False) -> Iterator[None]:
    """The same bits at the same seed, device and number of CPU threads.

    Args:
        compiled: whether PyTorch's compiler is used inside, and has to keep to it as well.
    """
    deterministic = torch.utils.deterministic
    before = torch.get_deterministic_debug_mode(), deterministic.fill_uninitialized_memory, torch.get_num_threads()
    # Where an operation has no deterministic form PyTorch warns, and the job's log keeps the warning.
    torch.set_deterministic_debug_mode("warn")
    if compiled:
        # The same again and for the compiler, which this call imports: a second that other jobs can do without.
        torch.use_deterministic_algorithms(True, warn_only=True)
    # With it comes a pass over every new tensor, to show what reads memory before writing to it; nothing here does.
    deterministic.fill_uninitialized_memory = False
    torch.set_num_threads(threads)
    # Tiny float values (denormals) slow a processor down many times; collapsed networks are full of them.
    torch.set_flush_denormal(True)
    _keep_freed_memory()
    try:
        with float32_products_in_tf32(False):
            yield
    finally:
        if compiled:
            torch.use_deterministic_algorithms(before[0] > 0)
        torch.set_deterministic_debug_mode(before[0])
        deterministic.fill_uninitialized_memory = before[1]
        torch.set_num_threads(before[2])
        torch.set_flush_denormal(False)


def _keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next allocation instead of returning it to the kernel.

    PyTorch on the CPU allocates every activation anew, and a fresh page costs a fault: a fifth of the time of a
    WideResNet50. Other C libraries have no `mallopt` and are left as they are.
    """
    m_trim_threshold, m_mmap_max = -1, -4
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)


def as_called(
    network: nn.Module, device: torch.device, *, compiled: bool, cuda_graphs: bool
) -> Callable[[Tensor], Any]:
    """The network as the training loop calls it; weights and buffers stay the network's own.

    Args:
        compiled: whether PyTorch's compiler fuses its kernels, which rounds differently.
        cuda_graphs: whether a GPU replays the recorded kernels of a step, which spares the processor; without effect
            on the CPU. Kernels that are not compiled are recorded as they are.
    """
    # Not dynamic: an epoch has batches of one size, and perhaps a smaller one at its end.
    if not (cuda_graphs and device.type == "cuda"):
        return torch.compile(network, dynamic=False) if compiled else network
    how = {"mode": "reduce-overhead"} if compiled else {"backend": "cudagraphs"}
    recorded = torch.compile(network, dynamic=False, **how)

    def replayed(images: Tensor) -> Any:
        # What the step before left in the recording's memory may be overwritten now.
        torch.compiler.cudagraph_mark_step_begin()
        return recorded(images)

    return replayed


@contextmanager
def float32_products_in_tf32(allowed: bool) -> Iterator[None]:
    """Whether a GPU may round the factors of float32 products to 10 bits; PyTorch's own default is yes in convolutions.

    What is not allowed has the precision that float32 says.
    """
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = allowed
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before
