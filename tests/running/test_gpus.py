"""One GPU, one job: leases of devices that a faked driver announces."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from equal_losses.running import gpus
from equal_losses.running.gpus import installed_devices, lease, visible_devices

PROCESSES = multiprocessing.get_context("fork")
ANNOUNCED = [f"GPU-{number}0000000-aaaa-bbbb-cccc-dddddddddddd" for number in (3, 1)]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Fakes a machine: as many GPUs as nvidia-smi lists, and what the user and the cluster have set."""

    def fake(gpus: int, visible: str | None = None, slurm_job: str | None = None) -> None:
        lines = [f"GPU {index}: NVIDIA A100 (UUID: {uuid})" for index, uuid in enumerate(ANNOUNCED[:gpus])]
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n" + "\n".join(f"echo '{line}'" for line in lines) + "\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
        for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("SLURM_JOB_ID", slurm_job)):
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)

    return fake


class Holder:
    """A process that leases a device and holds it for `seconds`."""

    def __init__(self, folder: Path, seconds: float, device: str = "auto"):
        self._ours, theirs = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=self._hold, args=(folder, seconds, device, theirs))
        self.process.start()

    def _hold(self, folder: Path, seconds: float, device: str, connection) -> None:
        with lease(device, locks=folder / "locks", poll_seconds=0.01):
            name = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
            connection.send(name)
            marker = folder / f"{name} in use"
            marker.touch(exist_ok=False)
            time.sleep(seconds)
            marker.unlink()

    def device(self, seconds: float = 20) -> str | None:
        """The device that it holds; None if it holds none within the time."""
        return self._ours.recv() if self._ours.poll(seconds) else None

    def end(self) -> int:
        self.process.join(20)
        return self.process.exitcode


@pytest.mark.parametrize("visible", [None, "0,1", ",".join(ANNOUNCED)])
def test_six_jobs_over_two_devices_never_share_one(machine, tmp_path, visible):
    machine(2, visible)
    holders = [Holder(tmp_path, 0.05) for _ in range(6)]
    used = [holder.device() for holder in holders]
    assert [holder.end() for holder in holders] == [0] * 6, "a device was in use when it was leased"
    assert set(used) <= set(ANNOUNCED if visible is None else visible.split(","))


def test_the_device_of_a_killed_holder_is_free_at_once(machine, tmp_path):
    machine(1)
    holder = Holder(tmp_path, 60)
    assert holder.device() == ANNOUNCED[0]
    waiting = Holder(tmp_path, 0)
    assert waiting.device(0.3) is None
    holder.process.kill()
    (tmp_path / f"{ANNOUNCED[0]} in use").unlink()
    assert waiting.device(2) == ANNOUNCED[0]
    assert waiting.end() == 0


def test_a_card_is_one_card_by_whatever_name(machine, tmp_path):
    machine(2, "1")
    holder = Holder(tmp_path, 60)
    assert holder.device() == "1"
    machine(2, ANNOUNCED[1][:12])
    waiting = Holder(tmp_path, 0)
    assert waiting.device(0.3) is None
    machine(2)
    assert Holder(tmp_path, 0).device() == ANNOUNCED[0]
    holder.process.kill()
    waiting.process.kill()


def test_what_the_user_made_visible_is_respected(machine, tmp_path):
    machine(2, "1")
    assert Holder(tmp_path, 0).device() == "1"
    for nothing in ("", "-1", "NoDevFiles"):
        machine(2, nothing)
        assert visible_devices() == []
    machine(2, "1,-1,0")
    assert visible_devices() == ["1"]


def test_a_lease_says_what_it_took_and_gives_it_back(machine, tmp_path, capsys):
    machine(1)
    for _ in range(2):
        with lease("auto", locks=tmp_path):
            assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        assert capsys.readouterr().out == f"device: CUDA_VISIBLE_DEVICES={ANNOUNCED[0]}, leased\n"


def test_without_a_gpu_nothing_is_leased(machine, tmp_path, capsys, monkeypatch):
    machine(0)
    with lease("auto", locks=tmp_path / "locks"):
        assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert capsys.readouterr().out == "device: CPU, because no GPU is there\n"
    machine(2)
    with lease("cpu", locks=tmp_path / "locks"):
        pass
    assert capsys.readouterr().out == "device: CPU, as compute.device says\n"
    assert not (tmp_path / "locks").exists()


def test_under_slurm_the_cluster_gives_the_device(machine, tmp_path, capsys):
    machine(2, "0", slurm_job="17")
    with lease("auto", locks=tmp_path / "locks"):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert "CUDA_VISIBLE_DEVICES=0, given by SLURM job 17" in capsys.readouterr().out
    assert not (tmp_path / "locks").exists()


def test_jobs_inside_one_allocation_share_out_its_devices(machine, tmp_path):
    machine(2, "0,1", slurm_job="17")
    holders = [Holder(tmp_path, 60) for _ in range(2)]
    assert {holder.device() for holder in holders} == {"0", "1"}
    machine(2, "0,1", slurm_job="18")
    other = Holder(tmp_path, 0)
    assert other.device() == "0", "another allocation's 0 is another card"
    for holder in [*holders, other]:
        holder.process.kill()


def test_the_driver_is_asked_where_nvidia_smi_is_absent(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "gpus")
    assert installed_devices() == []
    for bus, uuid in zip(("0000:3b:00.0", "0000:86:00.0"), ANNOUNCED, strict=True):
        sheet = tmp_path / "gpus" / bus / "information"
        sheet.parent.mkdir(parents=True)
        sheet.write_text(f"Model: \t\t NVIDIA A100\nIRQ:   \t\t 1\nGPU UUID: \t {uuid}\nDevice Minor: \t 0\n")
    assert installed_devices() == ANNOUNCED


def test_leasing_needs_no_pytorch():
    code = "import sys, equal_losses.running.gpus; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
