"""Room kept aside: a file that is given up when the disk is full.

On a full disk even DELETE fails, because it writes to the log first (storage notes, section 11: measured). Dropping
this file gives the deletes their room; it is made again when there is room for it.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

RESERVE_BYTES = 16 << 20
LOW_BYTES, LOW_SHARE = 1_000_000_000, 0.05


class Reserve:
    """``<database>.reserve``; at most 16 MB, and at most a sixteenth of the free space."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".reserve")

    def hold(self) -> None:
        """Take the room if it is there; on a disk too full for it there is none."""
        with contextlib.suppress(OSError):
            if self.path.exists():
                return
            size = min(RESERVE_BYTES, disk_space(self.path.parent).free // 16)
            fd = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, max(size, 1))
            except OSError:
                self.path.unlink(missing_ok=True)
            finally:
                os.close(fd)

    def give_up(self) -> bool:
        """Free the room; return whether there was any."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """A file system, in bytes; ``free`` is what this user may still write."""

    free: int
    total: int

    @property
    def is_low(self) -> bool:
        """Tell whether it is time to say so."""
        return self.free < LOW_BYTES or self.free < self.total * LOW_SHARE


def disk_space(folder: Path) -> DiskSpace:
    """Measure the file system of a folder."""
    disk = os.statvfs(folder)
    return DiskSpace(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)
