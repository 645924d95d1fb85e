"""Extraction of features and accuracies against the bare forward pass over as many images, and its memory."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

# As Snakemake starts a job of one thread: NumPy's threads would otherwise get in the way of PyTorch's.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from harness import Row, record, side_by_side
from training import longest_run, prepared, random_images

from equal_losses.datasets.digits import digits
from equal_losses.datasets.prepared import SPLITS, PreparedDataset
from equal_losses.metrics import extraction
from equal_losses.running import weights
from equal_losses.training.batches import EVALUATION_BATCH, DeviceImages, Normalization
from equal_losses.training.loop import build_network
from equal_losses.training.numerics import reproducible

CPU = torch.device("cpu")
ROUNDS = 5
TARGET = 0.95


def write_weights(folder: Path, settings: Mapping, dataset: PreparedDataset, count: int) -> None:
    """The files of a run with so many snapshots, one of them the best model; untrained, which costs the same."""
    state = build_network(settings, dataset).state_dict()
    tensors = {f"{epoch}/{name}": tensor.clone() for epoch in range(1, count) for name, tensor in state.items()}
    weights.save(folder / "snapshots.safetensors", tensors, {})
    weights.save(folder / "best.safetensors", state, {"epoch": "0"})


def extract(folder: Path, settings: Mapping, dataset: PreparedDataset, count: int) -> None:
    """What a job does with so many snapshots."""
    files = folder / "snapshots.safetensors", folder / "best.safetensors"
    snapshots = extraction.snapshots_of_run(*files, range(1, count))
    compute = {"device": "cpu", "threads": 1}
    extraction.write_features(folder / "features.npz", settings, dataset, snapshots, augmented=False, compute=compute)


@torch.inference_mode()
def bare_forward(network: torch.nn.Module, batches: list[torch.Tensor]) -> None:
    """Logits of batches that are normalised already, and nothing else."""
    for batch in batches:
        network(batch)


def peak_memory(*arguments: object) -> int:
    """Bytes that a process which extracts has in memory at its peak."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_extract_and_measure, arguments)


def _extract_and_measure(*arguments: object) -> int:
    with reproducible(1):
        extract(*arguments)
    # Not what getrusage says, which counts what the parent had when it made this process.
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status["VmHWM"].split()[0])


def main() -> None:
    """Compare on one of the paper's networks and on the demo's."""
    rows = []
    with tempfile.TemporaryDirectory() as name, reproducible(1):
        folder = Path(name)
        cifar = prepared(folder / "cifar", random_images(286))
        demo = prepared(folder / "digits", digits(), test=0.2)
        cases = {
            "WideResNet50-0.25": (longest_run("paper", "cifar10", 0.25), cifar, 1),
            "the demo's network, width 1": (longest_run("demo", "demo", 1), demo, 8),
        }
        for name, (settings, dataset, count) in cases.items():
            write_weights(folder, settings, dataset, count)
            network = build_network(settings, dataset).eval()
            batches = []
            for split in SPLITS:
                normalization = Normalization.of(settings, dataset, CPU, split)
                images = DeviceImages.load(dataset, split, CPU).images
                batches += [normalization(pixels) for pixels in images.split(EVALUATION_BATCH)]
            images = count * sum(len(batch) for batch in batches)
            ratios = side_by_side(
                lambda: extract(folder, settings, dataset, count),  # noqa: B023
                lambda: [bare_forward(network, batches) for _ in range(count)],  # noqa: B023
                rounds=ROUNDS,
            )
            rows.append(
                Row(
                    figure=f"Extraction, {name}: {images / min(ratios.ours):,.0f} images/s",
                    alternative=f"bare forward pass: {images / min(ratios.theirs):,.0f} images/s",
                    ratio=str(ratios),
                    target=f">= {TARGET}",
                    met=ratios.speedup >= TARGET,
                    why="" if ratios.speedup >= TARGET else "reading weights and the metrics' own passes",
                )
            )
        settings, dataset, _ = cases["WideResNet50-0.25"]
        write_weights(folder, settings, dataset, 5)
        few, many = (peak_memory(folder, settings, dataset, count) for count in (1, 5))
        # What the weights of the further snapshots would take if they were kept.
        kept = 4 * (folder / "best.safetensors").stat().st_size
        rows.append(
            Row(
                figure=f"Extraction, WideResNet50-0.25: {many / 2**20:,.0f} MiB at the peak with 5 snapshots",
                alternative=f"with 1: {few / 2**20:,.0f} MiB",
                ratio=f"{many / few:.2f}",
                target="independent of their number",
                met=many - few < kept / 2,
                why="" if many - few < kept / 2 else "something of a snapshot is kept",
            )
        )
    record("Extraction", rows)


if __name__ == "__main__":
    main()
