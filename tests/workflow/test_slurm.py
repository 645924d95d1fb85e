"""The profile for SLURM on a real SLURM: devices of one's own, requeueing, and how a failure is reported."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, Workflow
from tests.workflow.slurm_cluster import SlurmCluster, missing_programs

FIGURE = "results/figures/small/nc_evolution.pdf"


@pytest.fixture(scope="module")
def cluster():
    """A node with two GPUs; skipped where SLURM is not installed, unless EQUAL_LOSSES_REQUIRE_ALL is set."""
    missing = missing_programs()
    if (missing or os.geteuid() != 0) and not os.environ.get("EQUAL_LOSSES_REQUIRE_ALL"):
        pytest.skip(f"needs root and SLURM; missing: {', '.join(missing) or 'root'}")
    folder = Path(tempfile.mkdtemp(prefix="nc", dir="/tmp"))
    try:
        with SlurmCluster(folder / "c") as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def study(tmp_path, small_config) -> Workflow:
    """Two trainings of some seconds, with a checkpoint after every epoch."""
    small_config["experiments"]["small"] |= {"losses": ["CE", "FL"], "widths": [1], "epochs": [60], "snapshots": 2}
    small_config["experiments"]["small"]["training"] |= {"batch_size": 20}
    small_config["compute"] = {"checkpoint_minutes": 0}
    return Workflow(tmp_path, small_config)


def submit(study: Workflow, cluster: SlurmCluster, *arguments: str) -> subprocess.Popen:
    """Start Snakemake with the profile on one figure, on the login node as it were."""
    site = ["--default-resources", "slurm_partition=main", "--slurm-no-account", "--workflow-profile", "none"]
    pace = ["--seconds-between-status-checks", "2", "--slurm-init-seconds-before-status-checks", "2"]
    return subprocess.Popen(
        study.command("--profile", str(ROOT / "profiles" / "slurm"), *site, *pace, *arguments, FIGURE),
        cwd=study.directory,
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(condition, process: subprocess.Popen, seconds: float = 120):
    """What `condition` returns once it is true; an error with what Snakemake said where it ends or takes too long."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise AssertionError(f"waited in vain:\n{process.communicate()[0]}")
        time.sleep(0.2)
    return answer


def log_of(study: Workflow, loss: str) -> str:
    return "".join(
        path.read_text() for path in study.results.glob(f"runs/small/{loss}/width1/epochs60/seed1/*/train.log")
    )


def test_a_study_runs_to_its_figures_through_a_requeue_with_a_device_for_each_training(
    study, cluster, tmp_path_factory
):
    process = submit(study, cluster)
    wait_for(lambda: all("epoch  3/60" in log_of(study, loss) for loss in ("CE", "FL")), process)
    running = cluster.command("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()
    assert len(running) == 2, "both trainings at a time"
    given = {
        loss: re.search(r"CUDA_VISIBLE_DEVICES=(\d), given by SLURM job (\d+)", log_of(study, loss))
        for loss in ("CE", "FL")
    }
    assert {match[1] for match in given.values()} == {"0", "1"}
    assert {match[2] for match in given.values()} == set(running)

    cluster.command("scontrol", "requeue", given["FL"][2])
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    resumed = re.search(r"training on .* from epoch (\d+)", log_of(study, "FL"))
    assert 3 <= int(resumed[1]) < 60
    assert f"given by SLURM job {given['FL'][2]}" in log_of(study, "FL")
    assert (study.directory / FIGURE).exists()

    alone = Workflow(tmp_path_factory.mktemp("alone"), study.config)
    run = study.folder("small/FL/width1/epochs60/seed1").relative_to(study.directory)
    alone.run(f"{run}/key.json")
    for name in ("best.safetensors", "final.safetensors", "snapshots.safetensors"):
        assert (study.directory / run / name).read_bytes() == (alone.directory / run / name).read_bytes(), name


def test_a_job_that_fails_is_reported_with_its_log(study, cluster):
    study.config["experiments"]["small"] |= {"losses": ["CE"], "epochs": [3]}
    study.config["experiments"]["small"]["training"] |= {"learning_rate": 1e30, "clip_norm": None}
    process = submit(study, cluster, "--retries", "0")
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    log = study.folder("small/CE/width1/epochs3/seed1").relative_to(study.directory) / "train.log"
    assert str(log) in output
    assert "training diverged: the loss is" in output


def test_jobs_without_a_gpu_ask_for_none(study, cluster):
    """Only what runs a network asks for a GPU; the dataset does not."""
    networks = ("train", "train_stem", "extract_features", "align_features")
    plan = study.run("--dry-run", "--verbose").stdout
    for block in re.split(r"^\[.*\]$", plan, flags=re.MULTILINE):
        rule = re.search(r"^(?:local)?rule (\w+):", block, re.MULTILINE)
        if rule:
            assert ("gpu=1" in block) == (rule[1] in networks), rule[1]
