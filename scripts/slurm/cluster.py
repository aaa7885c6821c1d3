"""A Slurm cluster of one node, in a separate folder, without systemd, cgroups or accounting database."""

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
PACKAGES = ("slurm-wlm", "munge")
SECONDS_AT_MOST = 300.0
"""That anything in a check may take."""

CONFIGURATION = """\
ClusterName=check
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A requeued job begins once the credential of its last start has expired, by default after two minutes.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=30
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=sweeps Nodes={host} Default=YES PriorityTier=1
PartitionName=patient Nodes={host} PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes={host} PriorityTier=2 PreemptMode=OFF
"""


class CheckError(Exception):
    """Something is not as it should be; the message says what."""


def install() -> None:
    """Install Debian's packages of Slurm.

    Raises:
        CheckError: They cannot be installed.
    """
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *PACKAGES]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["apt-get", "update", "-q"], command):
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CheckError(f"{' '.join(words)} failed: {(done.stderr.strip() or '?').splitlines()[-1]}")


def missing_programs() -> list[str]:
    """The programs of Slurm that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=_search_path()) is None]


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = SECONDS_AT_MOST) -> None:
    """Wait until something is so.

    Raises:
        CheckError: It does not come about.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise CheckError(f"after {seconds:g} s still waiting for {what}")
        time.sleep(0.1)


class Cluster:
    """Starts the cluster on entering, ends its jobs and daemons on leaving, and removes its folder.

    Attributes:
        folder: The folder of its configuration, logs and state.
        environment: Environment variables with which Slurm's programs find it.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm_check_"))
        foreign = ("SLURM", "SBATCH", "SUBMITIT")
        own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environment = {**own, "PATH": _search_path(), "SLURM_CONF": str(self.folder / "slurm.conf")}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Cluster":
        """Start the daemons.

        Raises:
            CheckError: One does not come up.
        """
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything; the folder stays if something went wrong."""
        self._stop()
        if error is None:
            shutil.rmtree(self.folder)

    def call(self, *words: str) -> str:
        """Call a program of Slurm; returns its output.

        Raises:
            CheckError: It fails.
        """
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CheckError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def restarts(self, job: str) -> int:
        """How often a job has been requeued."""
        return int(self.call("squeue", "--noheader", "--states=all", f"--jobs={job}", "--Format=RestartCnt"))

    def state(self, job: str) -> str:
        """The state of a job."""
        return self.call("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")

    def _start(self) -> None:
        os.chmod(self.folder, 0o755)  # munged refuses to put its socket where others cannot see it
        host = socket.gethostname().partition(".")[0]
        try:
            socket.gethostbyname(host)
        except OSError as error:
            raise CheckError(f"the name of this machine, {host}, is not resolved: add it to /etc/hosts") from error
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        settings = {"host": host, "ports": _free_ports(2), "user": getpass.getuser(), "folder": self.folder}
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(**settings), encoding="utf-8")
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        files = [("--key-file", "key"), ("--socket", "socket"), ("--pid-file", "pid"), ("--log-file", "log")]
        own = [f"{option}={self.folder}/munge.{name}" for option, name in (*files, ("--seed-file", "seed"))]
        self._daemon("munged", "--foreground", "--force", *own)
        wait_until((self.folder / "munge.socket").exists, "munged", 30)
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D")
        wait_until(self._is_up, "the node to be idle", 60)

    def _daemon(self, *words: str) -> None:
        with (self.folder / f"{words[0]}.out").open("wb") as output:
            self._daemons[words[0]] = subprocess.Popen(words, env=self.environment, stdout=output, stderr=output)

    def _is_up(self) -> bool:
        for name, daemon in self._daemons.items():
            if daemon.poll() is not None:
                raise CheckError(f"{name} has ended; its output is in {self.folder}")
        words = ["sinfo", "--noheader", "--partition=sweeps", "--format=%T"]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout.strip() == "idle"

    def _stop(self) -> None:
        if len(self._daemons) == 3:
            subprocess.run(
                ["scancel", f"--user={getpass.getuser()}"], env=self.environment, capture_output=True, check=False
            )
            deadline = time.monotonic() + 60
            while self._has_jobs() and time.monotonic() < deadline:
                time.sleep(0.5)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in self._daemons.values():
            try:
                daemon.wait(30)
            except subprocess.TimeoutExpired:
                daemon.kill()
        self._daemons.clear()

    def _has_jobs(self) -> bool:
        done = subprocess.run(
            ["squeue", "--noheader"], env=self.environment, capture_output=True, text=True, check=False
        )
        return done.returncode == 0 and bool(done.stdout.strip())


def _search_path() -> str:
    """PATH with the folders of daemons, which a user's PATH may lack."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def _free_ports(count: int) -> Sequence[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
