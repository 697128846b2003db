"""One process writes: an exclusive lock file beside the database, which says who holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from pathlib import Path

from agentgauge.errors import StoreError, StoreFull, StoreLocked, StoreReadOnly

NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "fuse.sshfs"})


class FileLock:
    """Holds ``<database>.lock`` as long as it lives; the kernel lets go when the process ends, however it ends."""

    def __init__(self, database: Path, now_ms: int) -> None:
        """Take the lock.

        Raises:
            StoreLocked: another process, or another store of this one, has it.
            StoreReadOnly: no file can be made or written there.
        """
        self.path = database.with_name(database.name + ".lock")
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise StoreFull(f"the disk of {database} is full: not even {self.path.name} can be made") from error
            raise StoreReadOnly(
                f"{database} cannot be written to ({error.strerror}): make its folder writable, or choose another --db"
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = _holder(self._fd)
            os.close(self._fd)
            who = f"process {pid}" if pid else "another process"
            raise StoreLocked(
                f"{database} is in use by {who}: only one process writes to a file; stop it, or open it read-only", pid
            ) from error
        with contextlib.suppress(OSError):  # a full disk: the lock holds, only its holder stays unnamed
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps({"pid": os.getpid(), "start_ms": now_ms}).encode(), 0)

    def release(self) -> None:
        """Let go. The file stays: removing it would race with the next holder."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def _holder(fd: int) -> int:
    try:
        return int(json.loads(os.pread(fd, 200, 0))["pid"])
    except (ValueError, KeyError, TypeError):
        return 0


def prepare_folder(folder: Path) -> None:
    """Make the folder of a database that is to be written.

    Raises:
        StoreReadOnly: it cannot be made.
        StoreError: it is on a network file system.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreReadOnly(f"the folder {folder} cannot be made ({error.strerror}): choose another --db") from error
    refuse_network(folder)


def refuse_network(directory: Path, mounts: Path = Path("/proc/self/mounts")) -> None:
    """Refuse a directory on a network file system: the write-ahead log needs memory shared by its processes.

    Raises:
        StoreError: the directory is on one.
    """
    if not mounts.exists():
        return
    best, kind = "", ""
    real = str(directory.resolve())
    for line in mounts.read_text(errors="replace").splitlines():
        _, point, fs, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if len(point) >= len(best) and (real == point or real.startswith(point.rstrip("/") + "/")):
            best, kind = point, fs
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreError(f"{directory} is on a network file system ({kind}): keep the database on a local disk")
