"""The machine that trains: device, precision, memory, and what to change when it runs out."""

from __future__ import annotations

import argparse
import ctypes
import platform
import sys
import time

import torch

from player.show.problem import Problem, ShowError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed, and to take large blocks from the heap as well. True where that worked.

    By default it gives blocks above 32 MiB back to the kernel at once, and every activation of a training step is paid
    for again with page faults; a fresh page is filled with zeros first, which costs as much as the layer that writes it. An
    optimisation of a 640x480 picture through VGG19's like took half the time with it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False  # another C library, which has its own ways
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1))


def chosen_device(name: str, local_rank: int = 0) -> torch.device:
    """auto = a CUDA device where there is one; one a process. Raises ShowError."""
    if name not in ("auto", "cpu", "cuda"):
        raise ShowError(Problem("--device", name, "auto, cpu, cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise ShowError(Problem("--device", "cuda is not available on this machine", "auto or cpu"))
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        given = f"process {local_rank + 1} has no GPU of its own"
        raise ShowError(Problem("torchrun", given, f"at most {torch.cuda.device_count()} processes here"))
    torch.cuda.set_device(local_rank)
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda", local_rank)


def chosen_dtype(name: str, device: torch.device, half_blocks: int = 0) -> torch.dtype:
    """Of the activations. auto: float16 on CUDA for a network that was made for it (half_blocks); on a CPU bfloat16 where
    the processor computes in it and a convolution is at least 1.3 times as fast (measured now). Raises ShowError."""
    if name == "float16" and device.type == "cpu":
        raise ShowError(Problem("--precision", "float16 on a CPU", "float32, bfloat16, auto"))
    if name != "auto":
        return DTYPES[name]
    if device.type == "cuda":
        return torch.float16 if half_blocks else torch.float32
    return torch.bfloat16 if computes_bfloat16() and bfloat16_gain() > 1.3 else torch.float32


def computes_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16; without them it is emulated, at a tenth of the speed."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def bfloat16_gain() -> float:
    """How many times as fast as in float32 a convolution is. Both in turns, best of several, on one thread: several wait
    for each other wherever other work runs, and then it is the waiting that is measured."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    layers = [(torch.ones(8, 64, 32, 32, dtype=dtype).to(memory_format=torch.channels_last),
               torch.ones(64, 64, 3, 3, dtype=dtype)) for dtype in (torch.float32, torch.bfloat16)]  # fmt: skip
    seconds = [float("inf")] * 2
    for _ in range(8):
        for i, (x, w) in enumerate(layers):
            begun = time.perf_counter()
            torch.nn.functional.conv2d(x, w, padding=1)
            seconds[i] = min(seconds[i], time.perf_counter() - begun)
    torch.set_num_threads(threads)
    return seconds[0] / seconds[1]


def memory_mib(device: torch.device) -> float:
    """The most that was taken so far: of the GPU's memory by this process, or of the machine's (resident)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (2**20 if sys.platform == "darwin" else 2**10)
    except ImportError:
        import psutil

        return psutil.Process().memory_info().rss / 2**20


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a GPU or in the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        t in text for t in ("can't allocate memory", "not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    )


def memory_advice(options: argparse.Namespace, device: torch.device, per_pass: int) -> Problem:
    """What to change when memory ran out. per_pass: pictures that one pass holds."""
    ways = [f"--batch-gpu {per_pass // 2} (the batch stays, in more passes)"] if per_pass > 4 else []
    if device.type == "cuda" and options.precision == "float32":
        ways.append("--precision auto (half precision)")
    if options.preset != "small":
        ways.append("--preset small, or a smaller --channel-base")
    ways.append(f"--resolution {options.resolution // 2}")
    where = "the GPU's memory" if device.type == "cuda" else "the machine's memory"
    given = f"ran out at {options.resolution}x{options.resolution} with {per_pass} pictures a pass"
    return Problem(where, given, "", "; ".join(ways) + ". The last snapshot is kept: go on from it with --resume")
