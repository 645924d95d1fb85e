"""A real SLURM on this machine alone: one node, two GPUs that are not there, ports and folders of its own."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import time
from contextlib import ExitStack, closing
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue")

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
SlurmctldParameters=idle_on_node_suspend
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SchedulerParameters=defer,sched_interval=2,batch_sched_delay=0,sched_min_interval=100000
KillWait=5
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 Port={node_port} CPUs=8 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class SlurmCluster:
    """Start on entering, stop on leaving.

    Args:
        folder: where everything is; its path must be short, because a socket is in it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        for name in list(self.environment):
            if name.startswith("SLURM_") and name != "SLURM_CONF":
                del self.environment[name]
        self._stack = ExitStack()

    def __enter__(self) -> SlurmCluster:
        with self._stack as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._stack.close()

    def command(self, *arguments: str) -> str:
        """Output of a SLURM command."""
        return subprocess.run(
            arguments, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def _start(self, stack: ExitStack) -> None:
        folder, host = self.folder, socket.gethostname().partition(".")[0]
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o755)
        for number in range(2):
            os.mknod(folder / f"gpu{number}", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        # The executor plugin takes SLURM_CONF away from the srun inside a job, which then looks for the machine's own.
        srun = folder / "bin" / "srun"
        srun.parent.mkdir()
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        self.environment["PATH"] = f"{srun.parent}:{self.environment['PATH']}"
        ports = free_ports(2)
        text = CONFIGURATION.format(folder=folder, host=host, controller_port=ports[0], node_port=ports[1])
        (folder / "slurm.conf").write_text(text)
        (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-1]\n")
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        munge = [f"--{name}={folder}/munge.{name.removesuffix('-file')}" for name in ("socket", "pid-file", "log-file")]
        munge += [f"--key-file={key}", f"--seed-file={folder}/munge.seed", "--num-threads=1", "--force"]
        self._daemon(stack, "munged", "--foreground", *munge)
        self._wait_for((folder / "munge.socket").exists, "munged")
        self._daemon(stack, "slurmctld", "-D", "-i")
        self._daemon(stack, "slurmd", "-D")
        self._wait_for(self._is_idle, "the node")

    def _daemon(self, stack: ExitStack, *command: str) -> None:
        log = stack.enter_context((self.folder / f"{command[0]}.out").open("w"))
        process = subprocess.Popen(
            [shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin"), *command[1:]],
            env=self.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

        def stop() -> None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

        stack.callback(stop)

    def _is_idle(self) -> bool:
        try:
            return "idle" in self.command("sinfo", "--noheader", "--format=%T")
        except subprocess.CalledProcessError:
            return False

    def _wait_for(self, ready, what: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end:
                logs = "\n".join(path.read_text()[-2000:] for path in self.folder.glob("*.log"))
                raise TimeoutError(f"{what} did not come up:\n{logs}")
            time.sleep(0.1)


def missing_programs() -> list[str]:
    """Programs of SLURM that this machine lacks."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    return [program for program in PROGRAMS if shutil.which(program, path=path) is None]


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
