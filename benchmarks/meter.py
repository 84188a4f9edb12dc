"""CPU seconds of a block of work, and by how much it raised the memory of this process."""

from __future__ import annotations

import ctypes
import gc
import platform
import resource
import sys
import time
from pathlib import Path
from types import TracebackType

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "PYTHONWARNINGS": "ignore",
}
"""What a process that is measured finds in its environment."""


class Meter:
    """`with Meter() as meter:` and then `cpu_s`, `wall_s`, `grown_mb`, `imported`.

    Memory is the highest resident size in the block less the one just before it. The kernel's
    high-water mark is reset first; where that is not possible an earlier peak may hide a lower
    one, and `exact` is False.
    """

    def __enter__(self) -> Meter:
        gc.collect()
        if platform.libc_ver()[0] == "glibc":
            # Freed but kept memory would be used again unseen.
            ctypes.CDLL(None).malloc_trim(0)
        self.exact = _reset_peak()
        self._modules = set(sys.modules)
        self._before_mb = resident_mb() if self.exact else peak_mb()
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cpu_s = time.process_time() - self._cpu
        self.wall_s = time.perf_counter() - self._wall
        self.grown_mb = max(peak_mb() - self._before_mb, 0.0)
        # What is imported inside the block is paid once for each process, not for each bake.
        self.imported = len(set(sys.modules) - self._modules)


def resident_mb() -> float:
    """Return the memory that this process has now."""
    return _status("VmRSS")


def peak_mb() -> float:
    """Return the most memory this process had since its start, or since the last reset."""
    if STATUS.exists():
        return _status("VmHWM")
    unit = 1 << 20 if platform.system() == "Darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _status(name: str) -> float:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise KeyError(name)


def _reset_peak() -> bool:
    try:
        CLEAR.write_text("5")
    except OSError:
        return False
    return True
