"""A SLURM cluster of one node, this machine, for tests: slurmctld, slurmd and munged of Debian's slurm-wlm, on ports and in a
folder of their own. Programs are looked for on PATH, then where GANLAB_SLURM says."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue")
PLACES = os.pathsep.join([os.environ.get("PATH", ""), os.environ.get("GANLAB_SLURM", ""), "/usr/sbin"])

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,bf_interval=5
ReturnToService=2
InactiveLimit=0
KillWait=5
OverTimeLimit=0
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=30
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=debug Nodes=n1 Default=YES MaxTime=INFINITE State=UP
"""

# Without an accounting database sacct knows nothing, and submitit asks it: what scontrol knows, in sacct's words.
SACCT = r"""#!/bin/bash
echo 'JobID|State|NodeList'
while [ $# -gt 0 ]; do [ "$1" = -j ] && { shift; scontrol show job -o "$1" 2>/dev/null; }; shift; done |
 sed -nE 's/^JobId=([0-9]+) (.*)/\1 \2/; s/^[0-9]+ ArrayJobId=([0-9]+) ArrayTaskId=([0-9]+) /\1_\2 /; """ + (
    r"""s/^[0-9]+ ArrayJobId=([0-9]+) ArrayTaskId=([^ ]+) /\1_[\2] /; """
    r"""s/^([^ ]+) .*JobState=([A-Z_]+).* NodeList=([^ ]*).*/\1|\2|\3/p'
"""
)


def missing() -> str:
    """Why there can be no cluster here, or nothing."""
    absent = [name for name in PROGRAMS if not shutil.which(name, path=PLACES)]
    if absent:
        return f"no {', '.join(absent)} here: apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.geteuid() == 0 else "slurmctld, slurmd and munged are started as root"


class Cluster:
    """Started by `with`; `environment` is for the processes that use it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.commands = folder, folder / "bin"
        self.environment = dict(os.environ)

    def __enter__(self) -> Cluster:
        for name in ("state", "spool", "munge", "bin"):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name).chmod(0o755)
        self.folder.chmod(0o755)
        for name in PROGRAMS:
            (self.commands / name).symlink_to(shutil.which(name, path=PLACES))
        (self.commands / "sacct").write_text(SACCT)
        (self.commands / "sacct").chmod(0o755)
        munge = self.folder / "munge"
        (munge / "key").write_bytes(os.urandom(128))
        (munge / "key").chmod(0o400)
        words = {"host": socket.gethostname(), "ports": _free(2), "folder": self.folder, "cpus": os.cpu_count()}
        (self.folder / "slurm.conf").write_text(CONF.format(**words))
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        self.environment["PATH"] = f"{self.commands}{os.pathsep}{os.environ['PATH']}"
        self.environment["SLURM_CONF"] = str(self.folder / "slurm.conf")
        files = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed", "key-file": "key"}
        self.call("munged", "--force", *(f"--{option}={munge / name}" for option, name in files.items()))
        self.call("slurmctld", "-c")
        self.call("slurmd", "-N", "n1")
        self.until(lambda: "State=IDLE" in self.call("scontrol", "show", "node", "n1"), 60)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["scancel", "--quiet", "--user=root"], env=self.environment, check=False)
        for name in ("slurmd.pid", "slurmctld.pid", "munge/pid"):
            file = self.folder / name
            if file.exists():
                os.kill(int(file.read_text()), signal.SIGTERM)
        time.sleep(1.0)

    def call(self, *line: str) -> str:
        done = subprocess.run([*line], env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (line, done.stdout, done.stderr, self.logs())
        return done.stdout

    def until(self, condition, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.logs()
            time.sleep(0.3)

    def logs(self) -> str:
        """The last of what the daemons said."""
        return "\n".join(f"{file.name}: {file.read_text()[-2000:]}" for file in self.folder.glob("*.log"))


def _free(number: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
