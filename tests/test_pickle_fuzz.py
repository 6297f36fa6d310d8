"""More than ten thousand broken and hostile files: no execution, no error but the one, no runaway.

Mutants of snapshots written here (NVlabs, TensorFlow's layout, rosinality in both layouts of torch.save), mutants of the
real ones where ../shared is, mutants of small pickles, and opcodes strung together by hypothesis. While a file is read an
audit hook watches for everything that a pickle could want: processes, files, sockets, imports, compiled code.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import functools
import gc
import io
import os
import random
import resource
import struct
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tools.pickle_machine
from models.discriminator import Discriminator
from models.network_config import DiscriminatorConfig, GeneratorConfig
from models.stylegan2 import Generator
from player.show.problem import ShowError
from tests.pickle_writer import Call, PickleWriter, array_call, ordered, tensor
from tests.snapshot_writer import (
    nvlabs_discriminator,
    nvlabs_generator,
    nvlabs_snapshot,
    rosinality_discriminator,
    rosinality_generator,
    saved_by_torch,
    tensorflow_discriminator,
    tensorflow_generator,
)
from tools.gan_import import FILE_NAMES, MAGIC_BYTES, import_bytes, import_value, read_value
from tools.pickle_machine import Blob, Budget, Machine, Name, Record
from tools.pickle_reader import OPERATIONS, read_pickle
from tools.pickle_values import DType, Storage, Stored

ORACLES = Path(__file__).resolve().parents[2] / "shared" / "oracles"
SNAPSHOTS, DISTURBED, PIECES, SOUPS, REAL = 1800, 900, 6400, 2000, 60  # inputs of each test; of a real file each
WATCHED = ("os.", "subprocess.", "socket.", "pickle.", "ctypes.", "shutil.", "pty.", "marshal.", "code.__new__",
           "exec", "compile",
           "import", "open")  # fmt: skip
HOSTILE = (
    b"cos\nsystem\n(S'touch never'\ntR", b"\x8c\x02os\x8c\x06system\x93\x8c\x05touch\x85R", b"cbuiltins\nexec\n",
    b"c__builtin__\neval\n",
    b"ctorch.storage\n_load_from_bytes\nC\x02N.\x85R", b"ctorch._utils\n_rebuild_tensor_v2\n(tR",
    b"cnumpy.core.multiarray\n_reconstruct\n)R",
    b"r\xff\xff\xff\xff", b"j\xff\xff\xff\x7f", b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x8e\x00\x00\x00\x40\x00\x00\x00\x00",
    b"\x96\x00\x00\x00\x00\x01\x00\x00\x00", b"B\xff\xff\xff\xff", b"X\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f",
    b"\x8a\xff", b"(" * 50,
    b"]" * 50, b"2\x86" * 70, b"\x94" * 40, b"\x92", b"\x81", b"R", b"b", b"Q", b"\x82\x01", b"i os\nsystem\n",
    b"0" * 9, b"1", b".",
    b"\x95\x00\x00\x00\x00\x00\x00\x00\x80", b"e", b"u", b"a", b"s", b"t", b"d", b"\x90", b"\x91", b"\x85", b"\x87",
    b"N", b"K\x00",
    b"}", b"\x8f", b")", b"G\x7f\xf8\x00\x00\x00\x00\x00\x00", b"J\xff\xff\xff\xff", b"M\xff\xff", b"I01\n",
    b"F1e999\n", b"Vx\\u\n",
)  # fmt: skip
WORDS = st.sampled_from(
    [*HOSTILE, *(bytes([code]) for code in OPERATIONS), b"h\x00", b"h\x01", b"q\x00", b"q\x01", b"K\x05", b"C\x03abc",
     b"\x8c\x01a",
     b"\x8c\x06latin1", b"U\x02f4", *(f"c{module}\n{name}\n".encode() for module, name in sorted(FILE_NAMES))]
)  # fmt: skip

watching = 0  # the thread that reads just now; others, left over from other tests, may do what they want
seen: list[str] = []


def watch(event: str, args: tuple[Any, ...]) -> None:
    """The audit hook; it cannot be taken away again, so it has a switch."""
    if watching == threading.get_ident() and event.startswith(WATCHED):
        seen.append(f"{event} {args!r:.200}")


@pytest.fixture(autouse=True, scope="module")
def watched() -> Iterator[None]:
    """The audit hook, and one thread for torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for encoding in ("utf-8", "latin-1", "raw_unicode_escape", "unicode_escape", "cp437"):
        codecs.lookup(encoding)  # Python imports each when it is first used; the reader's four and zipfile's
    for data in snapshots():  # and torch what it loads lazily
        import_bytes(data, "a.pkl", with_discriminator=True)
    sys.addaudithook(watch)
    yield
    torch.set_num_threads(before)


def attempt(data: bytes, whole: bool) -> bool:
    """Reads or imports a file; True where that went well."""
    if whole:
        return survives(lambda: import_bytes(data, "a.pkl", with_discriminator=True))
    return survives(lambda: read_value(b"\x80\x04" + data, "a.pkl"))


def survives(act: Callable[[], Any]) -> bool:
    """True where `act` went well. Anything but one ShowError of one line, and anything that the watch sees, fails the test."""
    global watching
    seen.clear()
    watching = threading.get_ident()
    try:
        act()
        return True
    except ShowError as error:
        assert len(error.problems) == 1
        sentence = str(error)
        assert "\n" not in sentence and len(sentence) < 900 and sentence.isprintable() and "too long" not in sentence, sentence
        assert error.problems[0].where.startswith("a.pkl")
        return False
    finally:
        watching = 0
        assert not seen, seen


@functools.cache
def snapshots() -> tuple[bytes, ...]:
    """Whole files, as small as networks can be."""
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(resolution=8, channels=1, z_dim=2, w_dim=2, mapping_layers=1,
                                          channel_base=16, channel_max=2))
    judge = Discriminator(DiscriminatorConfig(resolution=8, channels=1, channel_base=16, channel_max=2))
    conditional = Generator(GeneratorConfig(resolution=8, z_dim=2, w_dim=2, c_dim=2, mapping_layers=1,
                                            channel_base=16, channel_max=2,
                                            architecture="resnet"))  # fmt: skip
    parts = {"g_ema": rosinality_generator(generator), "d": rosinality_discriminator(judge),
             "latent_avg": generator.w_avg.numpy()}
    triple = (tensorflow_generator(generator), tensorflow_discriminator(judge), tensorflow_generator(generator))
    return (
        *(nvlabs_snapshot(nvlabs_generator(generator), nvlabs_discriminator(judge), protocol) for protocol in (2, 3,
                                                                                                               4, 5)),
        nvlabs_snapshot(nvlabs_generator(conditional), nvlabs_discriminator(judge)),
        PickleWriter(3).dumps(triple), PickleWriter(0).dumps(triple), saved_by_torch(parts, True),
        saved_by_torch(parts, False),
    )  # fmt: skip


@functools.cache
def pieces() -> tuple[bytes, ...]:
    """Small pickles, without the head that attempt() puts before them."""
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    meta = {"type": "class", "version": 6, "module_src": "raise SystemExit", "class_name": "G",
            "state": {"_buffers": ordered({"a": 1})}}
    values = (
        {"t": tensor(array), "n": None}, [array_call(array), array_call(np.float64(3))],
        {"a": [1, (2.5, -70000, "x"), {"b"}], 3: b"y" * 300},
        Call("torch_utils.persistence", "_reconstruct_persistent_obj", (meta,)),
        Call("dnnlib.util", "EasyDict", (), None, {"a": 1}, new=True),
        Call("dnnlib.tflib.network", "Network", (), {"version": 4, "variables": [("a", array)]}, new=True),
    )  # fmt: skip
    made = [PickleWriter(protocol).dumps(value) for value in values for protocol in range(6)]
    return tuple(data[2:] if data.startswith(b"\x80") else data for data in made)


@functools.cache
def opcode_places(data: bytes) -> tuple[int, ...]:
    """Where opcodes begin, also those of nested pickles: most bytes of a file are weights, and little happens there."""
    places: set[int] = set()
    real = Machine.next_code

    def noting(machine: Machine) -> int:
        places.add(machine.offset + machine.at)
        return real(machine)

    Machine.next_code = noting  # type: ignore[method-assign]
    try:
        with contextlib.suppress(ShowError):  # old layouts, and entries of a zip, are no single pickle
            if data.startswith(b"PK") or MAGIC_BYTES in data[:32]:
                read_value(data, "a.pkl")
            else:
                some = Storage(np.dtype("<f4"), 1 << 20)
                read_pickle(Machine(Blob(memoryview(data), 0), "a.pkl", Budget(len(data)), FILE_NAMES, lambda machine,
                                    pid: some))
    finally:
        Machine.next_code = real  # type: ignore[method-assign]
    return tuple(sorted(place for place in places if place < len(data)))


def mutated(data: bytes, others: tuple[bytes, ...], dice: random.Random) -> bytes:
    """One file broken in one to three places."""
    made = bytearray(data)
    places = opcode_places(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        near = dice.choice(places) if places and dice.random() < 0.8 else dice.randrange(len(data))
        at = min(len(made) - 1, near + dice.choice((0, 0, 0, 1, 2, 3)))
        way = dice.randrange(9)
        if way == 0:
            made[at] ^= 1 << dice.randrange(8)
        elif way == 1:
            made[at] = dice.choice((*OPERATIONS, 0, 255))
        elif way == 2:
            del made[at:]
        elif way == 3:
            del made[at : at + dice.choice((1, 2, 4, 30, 1000))]
        elif way == 4:
            other = dice.choice(others)
            start = dice.randrange(len(other))
            made[at:at] = other[start : start + dice.choice((3, 30, 3000))]
        elif way == 5:
            made[at:at] = dice.choice(HOSTILE)
        elif way == 6:
            fragment = dice.choice(HOSTILE)
            made[at : at + len(fragment)] = fragment
        elif way == 7:
            size = dice.choice((1, 2, 4, 8))
            made[at : at + size] = dice.choice((b"\xff" * size, b"\0" * size, b"\x7f" * size,
                                                struct.pack("<Q", 1 << dice.randrange(63))[:size]))
        else:
            made[at:at] = bytes(made[at : at + dice.choice((1, 9, 200))]) * dice.choice((1, 2, 20))
        if not made:
            return b"N"
    return bytes(made)


def rezipped(data: bytes, others: tuple[bytes, ...], dice: random.Random) -> bytes:
    """A zip with one of its entries broken and all checksums right again: else the checksum refuses every mutant."""
    file, broken = io.BytesIO(), io.BytesIO(data)
    with zipfile.ZipFile(broken) as given, zipfile.ZipFile(file, "w") as made:
        names = given.namelist()
        pickled = next(name for name in names if name.endswith("data.pkl"))
        chosen = pickled if dice.random() < 0.8 else dice.choice(names)
        for name in names:
            inner = given.read(name)
            made.writestr(name, mutated(inner, others, dice) if name == chosen and inner else inner)
    return file.getvalue()


def containers_in(value: Any) -> list[Any]:
    """All dicts, lists and Records in what a file holds."""
    found, waiting, known = [], [value], set()
    while waiting:
        part = waiting.pop()
        inner = part.state if isinstance(part, Record) else part
        if id(inner) in known:
            continue
        known.add(id(inner))
        if isinstance(inner, dict | list):
            found.append(inner)
            waiting += inner.values() if isinstance(inner, dict) else inner
        elif isinstance(inner, tuple):
            waiting += inner
    return found


def disturbed(value: Any, dice: random.Random) -> None:
    """Exchanges, removes or adds something somewhere in what a file holds."""
    containers = [part for part in containers_in(value) if part]
    place = dice.choice(containers)
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    key, loop = dice.choice(keys), [1]
    loop.append(loop)  # type: ignore[arg-type]
    odd = Stored("a.pkl", (3,), (1,), 0,
                 Storage(np.dtype("<f4"), 3, Blob(memoryview(np.full(3, np.nan, np.float32).tobytes()), 0)))
    junk = (None, True, -1, 0, 7, 1 << 200, 2.5, float("nan"), float("inf"), "", "lrelu", "x" * 500, "a\nb", [], loop,
            {}, {"a": 1}, {1: 2},
            (), (1, 2), ("a", odd), {"b"}, Name("torch", "FloatStorage"), Record("Generator", {}),
            Record("x" * 300, {"_modules": 5}),
            Blob(memoryview(b"abc"), 0), DType("f4"), odd, Stored("a.pkl"), Storage(np.dtype("<f4"), 3))  # fmt: skip
    way = dice.randrange(4)
    if way == 0 and isinstance(place, dict):
        place[dice.choice((*keys, "synthesis", "b4.weight", "", "_buffers", 5))] = dice.choice(junk)
    elif way == 1:
        del place[key]
    elif way == 2:
        other = dice.choice(containers)
        place[key] = dice.choice(list(other.values() if isinstance(other, dict) else other))
    else:
        place[key] = dice.choice(junk)


def test_the_unbroken_files_are_read() -> None:
    """The mutants below begin from something that works."""
    for data in snapshots():
        assert attempt(data, whole=True)
    for data in pieces():
        assert attempt(data, whole=False)


def test_the_watch_sees_what_a_pickle_could_do() -> None:
    global watching
    seen.clear()
    watching = threading.get_ident()
    try:
        eval("1 + 1")
        open(__file__).close()
    finally:
        watching = 0
    assert any("compile" in event for event in seen) and any("open" in event for event in seen)


def peak_kib() -> int:
    """The most memory this process held since peak_from_now, or where the system does not tell, ever; KiB."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_from_now() -> int:
    """Forgets the peak of the tests before, beside which no growth would be seen; the memory held now, KiB."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # training tests have malloc keep what is freed; glibc alone has this
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_kib()


def test_the_peak_of_memory_is_seen_though_an_earlier_one_was_higher() -> None:
    kept = bytearray(os.urandom(1 << 20)) * 300
    del kept
    before = peak_from_now()
    kept = bytearray(os.urandom(1 << 20)) * 100
    assert 90 << 10 < peak_kib() - before < 200 << 10
    del kept


def test_mutants_of_whole_snapshots_are_imported_or_refused_in_one_sentence() -> None:
    dice, fine, before = random.Random(1), 0, peak_from_now()
    for number in range(SNAPSHOTS):
        data = snapshots()[number % len(snapshots())]
        change = rezipped if data.startswith(b"PK") and dice.random() < 0.8 else mutated
        fine += attempt(change(data, snapshots(), dice), whole=True)
    assert SNAPSHOTS // 50 < fine < SNAPSHOTS * 3 // 4  # both ends of the road were taken
    assert peak_kib() - before < 256 << 10  # over all of them


def test_snapshots_that_hold_other_things_than_they_should_are_imported_or_refused_in_one_sentence() -> None:
    dice, fine = random.Random(3), 0
    for number in range(DISTURBED):
        data = snapshots()[number % len(snapshots())]
        value = list(read_value(data, "a.pkl")) if number % len(snapshots()) in (5, 6) else read_value(data, "a.pkl")
        for _ in range(dice.choice((1, 1, 2))):
            disturbed(value, dice)
        fine += survives(functools.partial(import_value, value, "a.pkl", len(data), with_discriminator=True))
    assert DISTURBED // 50 < fine < DISTURBED


def test_mutants_of_small_pickles_are_read_or_refused_in_one_sentence() -> None:
    dice, fine, before = random.Random(2), 0, peak_from_now()
    for number in range(PIECES):
        data = pieces()[number % len(pieces())]
        fine += attempt(mutated(data, pieces(), dice), whole=False)
    assert PIECES // 50 < fine < PIECES * 3 // 4
    assert peak_kib() - before < 256 << 10


@given(words=st.lists(WORDS, min_size=1, max_size=40), end=st.booleans())
@settings(max_examples=SOUPS, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_opcodes_strung_together_are_read_or_refused_in_one_sentence(words: list[bytes], end: bool) -> None:
    attempt(b"".join(words) + (b"." if end else b""), whole=False)


@pytest.mark.skipif(not ORACLES.is_dir(), reason="../shared/oracles is not here")
@pytest.mark.parametrize("name", ["asym32.pkl", "tf32.pkl", "rosi32.pt", "resnet32.pkl"])
def test_mutants_of_real_snapshots_are_imported_or_refused_in_one_sentence(name: str) -> None:
    data = (ORACLES / name).read_bytes()
    dice, before = random.Random(name), peak_from_now()
    for _ in range(REAL):
        change = rezipped if name.endswith(".pt") and dice.random() < 0.8 else mutated
        attempt(change(data, (data, *snapshots()), dice), whole=True)
    assert peak_kib() - before < (256 << 10) + 3 * len(data) // 1024


def test_ten_thousand_inputs_are_tried_without_the_shared_folder() -> None:
    assert SNAPSHOTS + DISTURBED + PIECES + SOUPS > 10_000


def test_the_steps_of_a_file_are_bounded_and_so_is_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many steps as there may be, on opcodes that cost as much as any a step."""
    monkeypatch.setattr(tools.pickle_machine, "MAX_STEPS", 1000)
    budget = Budget(1000, steps=1000)
    with pytest.raises(ShowError, match="steps"):
        read_pickle(Machine(Blob(memoryview(b"N0" * 2000 + b"N."), 0), "a.pkl", budget, FILE_NAMES))
    assert budget.steps_left == -1
