"""Device, precision, memory, and a stop that is heard between iterations."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from player.show.problem import ShowError
from tools import train_machine
from tools.train_arguments import arguments
from tools.train_machine import chosen_device, chosen_dtype, is_out_of_memory, memory_advice, memory_mib
from tools.train_run import StopSignals

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_precision_follows_the_network_on_a_gpu_and_the_measured_speed_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_dtype("auto", GPU, half_blocks=4) == torch.float16
    assert chosen_dtype("auto", GPU, half_blocks=0) == torch.float32
    assert chosen_dtype("bfloat16", CPU) == torch.bfloat16
    for there, gain, chosen in ((True, 2.0, torch.bfloat16), (True, 1.1, torch.float32), (False, 2.0, torch.float32)):
        monkeypatch.setattr(train_machine, "computes_bfloat16", lambda there=there: there)
        monkeypatch.setattr(train_machine, "bfloat16_gain", lambda gain=gain: gain)
        assert chosen_dtype("auto", CPU) == chosen
    with pytest.raises(ShowError, match="float16 on a CPU"):
        chosen_dtype("float16", CPU)


def test_measuring_bfloat16_leaves_the_threads_alone() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    assert train_machine.bfloat16_gain() > 0 and isinstance(train_machine.computes_bfloat16(), bool)
    assert torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), state)


def test_a_device_that_is_not_there_is_refused() -> None:
    assert chosen_device("cpu") == CPU
    with pytest.raises(ShowError, match="--device: abacus"):
        chosen_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ShowError, match="not available on this machine"):
            chosen_device("cuda")


def test_errors_of_memory_are_told_from_others() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"))
    assert is_out_of_memory(MemoryError()) and not is_out_of_memory(RuntimeError("shapes differ"))
    assert memory_mib(CPU) > 10


def test_what_to_change_depends_on_what_was_used() -> None:
    words = ["f.mp4", "-o", "r", "--resolution", "512", "--precision", "float32", "--preset", "paper512"]
    options = arguments().parse_args(words)
    said = str(memory_advice(options, GPU, 16))
    assert "the GPU's memory: ran out at 512x512 with 16 pictures a pass" in said
    for way in ("--batch-gpu 8", "half precision", "--preset small", "--resolution 256", "--resume"):
        assert way in said, way
    options.preset = "small"
    said = str(memory_advice(options, CPU, 4))
    assert "--preset small" not in said and "--batch-gpu" not in said


def test_a_stop_is_noted_first_and_interrupts_when_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
        os.kill(os.getpid(), signal.SIGTERM)  # at once: the same wish, by another way
        stop._heard_s -= 5
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with StopSignals(patient=True) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        stop._heard_s -= 5
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
