"""Extraction of features and accuracies against the bare forward pass over as many images, and its memory."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

# As Snakemake starts a job of one thread: NumPy's threads would otherwise stand in the way of PyTorch's.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from harness import Row, record, side_by_side
from neural_collapse import datasets, features, preparation, training, weights
from training import prepared, random_images, settings_of

CPU = torch.device("cpu")
ROUNDS = 5
TARGET = 0.95


def snapshots(settings: Mapping, dataset: preparation.PreparedDataset, folder: Path, count: int) -> dict[str, Path]:
    """Weight files of so many snapshots; the untrained network costs what a trained one does."""
    state = training.build_network(settings, dataset).state_dict()
    files = {f"{epoch}": folder / f"epoch{epoch}.safetensors" for epoch in range(count)}
    for epoch, file in files.items():
        weights.save(file, state, {"epoch": epoch})
    return files


@torch.inference_mode()
def bare_forward(network: torch.nn.Module, batches: list[torch.Tensor]) -> None:
    """Logits of batches that are normalised already, and nothing else."""
    for batch in batches:
        network(batch)


def peak_memory(settings: Mapping, dataset: preparation.PreparedDataset, files: Mapping[str, Path]) -> int:
    """Bytes that a process which extracts from these snapshots has in memory at its peak."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_extract_and_measure, (settings, dataset, dict(files)))


def _extract_and_measure(settings: Mapping, dataset: preparation.PreparedDataset, files: Mapping[str, Path]) -> int:
    with training.reproducible(1):
        features.extract(settings, dataset, files, device=CPU, augmented=False)
    # Not what getrusage says, which counts what the parent had when it made this process.
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status["VmHWM"].split()[0])


def main() -> None:
    """Compare on one of the paper's networks and on the demo's."""
    rows = []
    with tempfile.TemporaryDirectory() as name, training.reproducible(1):
        folder = Path(name)
        cifar = prepared(folder / "cifar", random_images(286))
        digits = prepared(folder / "digits", datasets.digits(), test_fraction=0.2)
        cases = {
            "WideResNet50-0.25": (settings_of("paper", "cifar10", "0.25"), cifar, 1),
            "the demo's network, width 1": (settings_of("demo", "demo", "1"), digits, 8),
        }
        for name, (settings, dataset, count) in cases.items():
            files = snapshots(settings, dataset, folder, count)
            network = training.build_network(settings, dataset).eval()
            batches = []
            for split in preparation.SPLITS:
                normalization = training.Normalization.of(settings, dataset, CPU, split)
                images = training.DeviceImages.load(dataset, split, CPU).images
                batches += [normalization(pixels) for pixels in images.split(training.EVALUATION_BATCH)]
            images = count * sum(len(batch) for batch in batches)
            ratios = side_by_side(
                lambda: features.extract(settings, dataset, files, device=CPU, augmented=False),  # noqa: B023
                lambda: [bare_forward(network, batches) for _ in files],  # noqa: B023
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
        files = snapshots(settings, dataset, folder, 5)
        few, many = (peak_memory(settings, dataset, part) for part in (dict([*files.items()][:1]), files))
        # What a snapshot's weights take would show if they were kept.
        kept = 4 * files["0"].stat().st_size
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
