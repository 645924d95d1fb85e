"""The metrics of 50,000 features: time against one pass over them, peak memory, accuracy, and the direct form."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
from harness import Ratios, Row, Table, record, seconds, side_by_side

from equal_losses.metrics.collapse import collapse_metrics, simplex_etf

SAMPLES, DIMENSION = 50_000, 2_048
MOST_PASSES = {10: 8, 100: 35}
MOST_MEGABYTES = 600
MOST_ERROR = 1e-6
FEW_SAMPLES, LEAST_SPEEDUP = 2_000, 200
ROUNDS = 9
BLOCK = 1_000

# A small process starts the command and reads its peak: the kernel counts in what a large one had before the exec.
PEAK = """
import os, sys
child = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ, file_actions=[
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""
COMMAND = "import sys; from equal_losses.commands.main import main; sys.exit(main())"


@dataclass(frozen=True)
class Kind:
    """How features lie around their class means, whose entries have standard deviation 1 around 1.5.

    Attributes:
        name: in words.
        noise: standard deviation of an entry around its class mean.
        confusion: standard deviation of a step from the class mean towards another, of which 1 is the whole way.
        misalignment: standard deviation of an entry of W around that of the centered class mean.
    """

    name: str
    noise: float
    confusion: float
    misalignment: float


SPREAD_OUT = Kind("spread out", 1.0, 0.25, 0.1)
COLLAPSED = Kind("nearly collapsed", 0.01, 0.0, 0.02)
UNALIGNED = Kind("spread out, W unrelated to the class means", 1.0, 0.25, 1e3)
KINDS = (SPREAD_OUT, COLLAPSED, UNALIGNED)


@dataclass(frozen=True)
class Data:
    """Files of features, labels, weight and bias in a folder."""

    folder: Path

    @classmethod
    def written(cls, folder: Path, kind: Kind, classes: int, samples: int = SAMPLES) -> Data:
        """Random ones, labels in random order."""
        random = np.random.default_rng(classes)
        labels = random.permutation(np.arange(samples) % classes)
        means = random.standard_normal((classes, DIMENSION)) + 1.5
        weight = means - means.mean(axis=0) + kind.misalignment * random.standard_normal(means.shape)
        np.save(folder / "labels.npy", labels)
        np.save(folder / "weight.npy", (weight / np.linalg.norm(weight)).astype(np.float32))
        np.save(folder / "bias.npy", (0.01 * random.standard_normal(classes)).astype(np.float32))
        features = np.lib.format.open_memmap(
            folder / "features.npy", mode="w+", dtype=np.float32, shape=(samples, DIMENSION)
        )
        for start in range(0, samples, BLOCK):
            own = labels[start : start + BLOCK]
            step = means[random.integers(classes, size=len(own))] - means[own]
            step *= kind.confusion * random.standard_normal((len(own), 1))
            features[start : start + BLOCK] = means[own] + step + kind.noise * random.standard_normal(step.shape)
        features.flush()
        return cls(folder)

    def arrays(self) -> list[np.ndarray]:
        """Features (memory-mapped), labels, weight, bias."""
        return [np.load(self.folder / "features.npy", mmap_mode="r")] + [
            np.load(self.folder / f"{name}.npy") for name in ("labels", "weight", "bias")
        ]


def passes(folder: Path) -> Ratios:
    """Seconds of one sum and of all metrics, in turn."""
    arrays = Data(folder).arrays()
    return side_by_side(arrays[0].sum, lambda: collapse_metrics(*arrays), rounds=ROUNDS)


def passes_on_two_threads(folder: Path) -> Ratios:
    """The same, the sum's halves on two threads."""
    arrays = Data(folder).arrays()
    halves = np.array_split(arrays[0], 2)
    with ThreadPoolExecutor(2) as threads:
        return side_by_side(lambda: list(threads.map(np.sum, halves)), lambda: collapse_metrics(*arrays), rounds=ROUNDS)


def passes_on_one_core(folder: Path) -> Ratios:
    """The same in a process that has one core."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_take_one_core) as processes:
        before = os.environ.get("OPENBLAS_NUM_THREADS")
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when the process imports NumPy
        try:
            return processes.submit(passes, folder).result()
        finally:
            del os.environ["OPENBLAS_NUM_THREADS"]
            if before is not None:
                os.environ["OPENBLAS_NUM_THREADS"] = before


def _take_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def peak_megabytes(folder: Path) -> float:
    """The largest resident set of a process `equal-losses metrics`, pages of the mapped files included."""
    options = [f"--{name}={folder / name}.npy" for name in ("features", "labels", "weight", "bias")]
    command = [sys.executable, "-c", PEAK, "-c", COMMAND, "metrics", *options]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1e6


def float64_metrics(features: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> dict[str, float]:
    """The definitions in float64, with d x d scatter matrices and a pseudo-inverse of rank K - 1, by blocks of rows.

    Sums, scatter and logits are products of blocks in float64 in place of a step per sample, which at this N would
    take an hour; ||h - h_j||^2 is expanded.
    """
    classes, weight = len(weight), weight.astype(np.float64)
    blocks = [slice(start, start + BLOCK) for start in range(0, len(labels), BLOCK)]
    one_hot = np.eye(classes)
    counts = np.bincount(labels)
    means = sum(one_hot[labels[rows]].T @ features[rows].astype(np.float64) for rows in blocks) / counts[:, None]
    within, squares, disagreements = np.zeros((DIMENSION, DIMENSION)), np.zeros(classes), 0
    for rows in blocks:
        block = features[rows].astype(np.float64)
        residuals = block - means[labels[rows]]
        within += residuals.T @ residuals / len(labels)
        squares += np.bincount(labels[rows], (residuals**2).sum(axis=1), minlength=classes)
        nearest = (np.vecdot(means, means) - 2 * block @ means.T).argmin(axis=1)
        disagreements += np.sum(nearest != (block @ weight.T + bias).argmax(axis=1))
    return direct_from(means, counts, within, squares / counts, disagreements / len(labels), weight, bias)


def direct_metrics(features: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> dict[str, float]:
    """The definitions as they read, an outer product per sample, in the precision of the features."""
    classes = len(weight)
    means = np.stack([features[labels == k].mean(axis=0) for k in range(classes)])
    within = np.zeros((DIMENSION, DIMENSION), features.dtype)
    for feature, label in zip(features, labels, strict=True):
        within += np.outer(feature - means[label], feature - means[label]) / len(labels)
    variances = np.array([((features[labels == k] - means[k]) ** 2).sum(axis=1).mean() for k in range(classes)])
    nearest = np.array([((feature - means) ** 2).sum(axis=1).argmin() for feature in features])
    disagreement = np.mean((features @ weight.T + bias).argmax(axis=1) != nearest)
    return direct_from(means, np.bincount(labels), within, variances, disagreement, weight, bias)


def direct_from(
    means: np.ndarray,
    counts: np.ndarray,
    within: np.ndarray,
    variances: np.ndarray,
    disagreement: float,
    weight: np.ndarray,
    bias: np.ndarray,
) -> dict[str, float]:
    """The metrics of `metrics_from_statistics`, from d x d matrices."""
    classes = len(weight)
    global_mean = counts.astype(means.dtype) @ means / counts.sum()
    centered, free = means - global_mean, weight - weight.mean(axis=0)
    between = centered.T @ centered / classes
    # hermitian, and cut between the last of the K - 1 eigenvalues and rounding noise
    inverse = np.linalg.pinv(between, rcond=1e-12 if means.dtype == np.float64 else 1e-5, hermitian=True)

    def distance(matrix: np.ndarray) -> float:
        return np.linalg.norm(matrix / np.linalg.norm(matrix) - simplex_etf(classes))

    norms, weight_norms = np.linalg.norm(centered, axis=1), np.linalg.norm(weight, axis=1)
    pairs = [(i, j) for i in range(classes) for j in range(i)]
    cosines = np.array([centered[i] @ centered[j] / (norms[i] * norms[j]) for i, j in pairs])
    return {
        "nc1": np.trace(within @ inverse) / classes,
        "nc2": distance(weight @ weight.T),
        "nc3": distance(weight @ centered.T),
        "nc2_centered": distance(free @ free.T),
        "nc3_centered": distance(free @ centered.T),
        "nc4": disagreement,
        "global_mean_logit_norm": np.linalg.norm(weight @ global_mean + bias),
        "equinorm_means": norms.std() / norms.mean(),
        "equinorm_weights": weight_norms.std() / weight_norms.mean(),
        "equiangularity": np.mean(np.abs(cosines + 1 / (classes - 1))),
        "self_duality": np.linalg.norm(weight / np.linalg.norm(weight) - centered / np.linalg.norm(centered)) ** 2,
        "cdnv": np.mean([(variances[i] + variances[j]) / (2 * ((means[i] - means[j]) ** 2).sum()) for i, j in pairs]),
        "trace_ratio": np.trace(within) / np.trace(between),
    }


def largest_error(measured: dict[str, float], expected: dict[str, float]) -> tuple[float, str]:
    """The largest relative error of a metric, and its name; what is zero has to be zero."""
    errors = {
        name: 0.0 if measured[name] == value else abs(measured[name] - value) / abs(value) if value else np.inf
        for name, value in expected.items()
    }
    assert measured.keys() == errors.keys()
    return max((float(error), name) for name, error in errors.items())


def milliseconds(times: list[float]) -> str:
    return f"{median(times) * 1e3:.0f} ms"


def main() -> None:
    limits = (os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))
    blas = next(filter(None, limits), os.cpu_count())
    timed, two_threads, one_core, errors, peaks, reported = {}, {}, {}, {}, {}, {}
    for classes in MOST_PASSES:
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as folder:
                data = Data.written(Path(folder), kind, classes)
                key = classes, kind
                timed[key] = passes(data.folder)
                two_threads[key] = passes_on_two_threads(data.folder)
                one_core[key] = passes_on_one_core(data.folder)
                peaks[key] = peak_megabytes(data.folder)
                if kind is not UNALIGNED:
                    arrays = data.arrays()
                    reported[key] = collapse_metrics(*arrays)
                    errors[key] = largest_error(reported[key], float64_metrics(*arrays))

    with tempfile.TemporaryDirectory() as folder:
        few = Data.written(Path(folder), SPREAD_OUT, 10, FEW_SAMPLES).arrays()
        collapse_metrics(*few)
        ours = median(seconds(lambda: collapse_metrics(*few)) for _ in range(ROUNDS))
        direct = seconds(lambda: direct_metrics(*few))

    rows = []
    for classes, most in MOST_PASSES.items():
        for kind in (SPREAD_OUT, COLLAPSED):
            ratios = timed[classes, kind]
            rows.append(
                Row(
                    figure=f"all metrics, N = {SAMPLES:,}, d = {DIMENSION:,}, K = {classes}, features {kind.name}: "
                    f"{milliseconds(ratios.theirs)}",
                    alternative=f"one pass that sums the same array: {milliseconds(ratios.ours)}",
                    ratio=f"metrics over sum {ratios}",
                    target=f"at most {most}",
                    met=ratios.speedup <= most,
                    why=""
                    if ratios.speedup <= most
                    else f"the coordinates of all features in the span of {classes} class means are "
                    f"{2e-9 * SAMPLES * DIMENSION * (classes - 1):.0f}e9 operations, and both passes read from memory",
                )
            )
    peak = max(peaks.values())
    rows.append(
        Row(
            figure=f"peak memory of `equal-losses metrics`, the mapped features in it: {peak:.0f} MB",
            alternative=f"the features alone: {SAMPLES * DIMENSION * 4 / 1e6:.0f} MB",
            ratio=f"{peak / (SAMPLES * DIMENSION * 4 / 1e6):.2f}",
            target=f"less than {MOST_MEGABYTES} MB",
            met=peak < MOST_MEGABYTES,
        )
    )
    error, name = max(errors.values())
    rows.append(
        Row(
            figure=f"largest relative error of a metric: {error:.1e} ({name})",
            alternative="definitions in float64, with d x d scatter and pseudo-inverse",
            ratio="–",
            target=f"at most {MOST_ERROR:.0e}",
            met=error <= MOST_ERROR,
        )
    )
    rows.append(
        Row(
            figure=f"all metrics, N = {FEW_SAMPLES:,}, K = 10: {ours * 1e3:.1f} ms",
            alternative=f"direct form in float32, an outer product per sample, once: {direct:.1f} s",
            ratio=f"direct over ours {direct / ours:,.0f}",
            target=f"at least {LEAST_SPEEDUP}",
            met=direct / ours >= LEAST_SPEEDUP,
        )
    )
    tables = [
        Table(
            caption=f"Metrics over sum. Both have all {os.cpu_count()} cores: NumPy sums on one thread and multiplies "
            f"on {blas}. Beside it, the same with the sum's halves on two threads, and with one core for both. A "
            "classifier that is unrelated to the class means takes a product of twice the columns; no target is set "
            "for it. All files are in the page cache.",
            head=["K", "features", "sum", "metrics", "ratio", "sum on two threads", "one core", "peak memory"],
            rows=[
                [
                    str(classes),
                    kind.name,
                    milliseconds(ratios.ours),
                    milliseconds(ratios.theirs),
                    str(ratios),
                    str(two_threads[classes, kind]),
                    str(one_core[classes, kind]),
                    f"{peaks[classes, kind]:.0f} MB",
                ]
                for (classes, kind), ratios in timed.items()
            ],
        ),
        Table(
            caption="What the features are like, and the largest relative error of a metric.",
            head=["K", "features", "nc1", "nc3", "nc4", "trace_ratio", "largest error", "of"],
            rows=[
                [
                    str(classes),
                    kind.name,
                    *(f"{reported[classes, kind][name]:.3g}" for name in ("nc1", "nc3", "nc4", "trace_ratio")),
                    f"{error:.1e}",
                    name,
                ]
                for (classes, kind), (error, name) in errors.items()
            ],
        ),
    ]
    record("Neural-collapse metrics", rows, tables)


if __name__ == "__main__":
    main()
