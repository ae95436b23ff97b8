# SPDX-License-Identifier: MIT
"""What a running process has used."""

import os
from pathlib import Path


def cpu_seconds(pid: int, children: bool = False) -> float:
    """proc_pid_stat(5), fields 14 and 15; 16 and 17 for children that have been waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if children else 13])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20
