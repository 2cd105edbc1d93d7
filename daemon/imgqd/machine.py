"""The machine that an image tower runs on, as far as it decides what is fastest. Loads no torch."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
# Each makes another machine of this one for the libraries that compute.
_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
_GPUS = ("/dev/nvidiactl", "/dev/kfd")
_LIBRARIES = ("torch", "onnxruntime", "open_clip_torch", "timm")


def cores() -> int:
    """The cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_bf16() -> bool:
    """Whether the CPU multiplies bf16 itself: up to four times as fast as f32 then, else slower."""
    return bool(set(_flags().split()) & {"avx512_bf16", "amx_bf16", "bf16"})


def has(library: str) -> bool:
    return _version(library) is not None


def described() -> list[str]:
    """All that a measurement holds for, apart from the model: equal where it need not be repeated."""
    variables = [f"{name}={os.environ.get(name, '')}" for name in _VARIABLES]
    libraries = [f"{name} {_version(name)}" for name in _LIBRARIES]
    gpus = [path for path in _GPUS if os.path.exists(path)]
    return [platform.machine(), _line("model name"), _flags(), *variables, *libraries, *gpus]


def _flags() -> str:
    return _line("flags") or _line("Features")


def _line(name: str) -> str:
    """What /proc/cpuinfo says of the first core, '' where there is no such file or line."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return ""
    values = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in values if key.strip() == name), "")


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
