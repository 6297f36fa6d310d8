"""tools/set_up.sh, with every command that would change this machine replaced by one that writes down its call."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
ALL = ("libEGL.so.1", "libGL.so.1", "libportaudio.so.2", "libgthread-2.0.so.0", "libxcb.so.1")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system packages are a matter of Linux")


@dataclass(frozen=True)
class Machine:
    """A pretended machine: a clone, a folder of commands that shadow the real ones, and what they were called with."""

    clone: Path
    commands: Path
    log: Path

    def command(self, name: str, body: str) -> None:
        path = self.commands / name
        path.write_text(f'#!/bin/sh\n{body}\n')
        path.chmod(0o755)

    def libraries(self, *names: str) -> None:
        lines = "\n".join(f"\t{name} (libc6,x86-64) => /lib/{name}" for name in names)
        self.command("ldconfig", f"cat <<'LINES'\n{lines}\nLINES")

    def set_up(self, goal: str = "demo", path: str = os.environ["PATH"], venv: str = ".venv",
               stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PATH": f"{self.commands}:{path}", "VENV": venv, "LOG": str(self.log)}
        return subprocess.run([self.clone / "tools/set_up.sh", goal], env=env, stdin=stdin, capture_output=True, text=True,
                              timeout=60)

    def calls(self) -> list[str]:
        """What was called since the last time this was asked."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Root on a Debian that has everything; its environment exists, and its pip only writes down what it is asked."""
    made = Machine(tmp_path / "clone", tmp_path / "commands", tmp_path / "log")
    (made.clone / "tools").mkdir(parents=True)
    made.commands.mkdir()
    for name in ("pyproject.toml", "tools/constraints.txt", "tools/set_up.sh"):
        shutil.copy(REPO / name, made.clone / name)
    (made.clone / ".venv/bin").mkdir(parents=True)
    python = made.clone / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\n[ "$2" = pip ] && {{ echo "pip $*" >> "$LOG"; exit; }}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    made.libraries(*ALL)
    made.command("id", "echo 0")
    made.command("apt-get", 'echo "apt-get $*" >> "$LOG"')
    made.command("dpkg-query", 'printf "install ok installed"')
    made.command("sudo", "exit 1")
    made.command("Xvfb", "")
    made.command("pulseaudio", "")
    made.command("chromium", "")
    return made


def test_the_first_run_installs_and_the_second_starts_at_once(machine: Machine) -> None:
    assert machine.set_up().returncode == 0
    (call,) = machine.calls()
    assert call.startswith("pip -m pip install") and call.endswith("--editable .")
    done = machine.set_up()
    assert done.returncode == 0 and not done.stdout and not machine.calls()


def test_a_path_with_spaces_and_umlauts_is_no_hindrance(machine: Machine, tmp_path: Path) -> None:
    moved = Machine(tmp_path / "mein schöner ordner" / "clone", machine.commands, machine.log)
    moved.clone.parent.mkdir()
    machine.clone.rename(moved.clone)
    python = moved.clone / ".venv/bin/python"
    python.write_text(python.read_text().replace("pip $*", "pip $PIP_CONSTRAINT"))
    assert moved.set_up().returncode == 0
    (constraint,) = moved.calls()  # pip splits this variable at spaces
    assert constraint.startswith("pip file:///") and constraint.count(" ") == 1
    assert constraint.endswith("/mein%20sch%C3%B6ner%20ordner/clone/tools/constraints.txt")


@pytest.mark.parametrize("name", ["pyproject.toml", "tools/constraints.txt", "tools/set_up.sh"])
def test_it_installs_again_where_what_is_asked_for_has_changed(machine: Machine, name: str) -> None:
    machine.set_up()
    machine.calls()
    with (machine.clone / name).open("a") as f:
        f.write("\n# changed\n")
    assert machine.set_up().returncode == 0
    assert len(machine.calls()) == 1


def test_an_environment_for_the_tests_is_enough_for_the_demo_and_not_the_other_way(machine: Machine) -> None:
    machine.set_up("demo")
    machine.calls()
    machine.set_up("test")
    assert [c.rpartition(" ")[2] for c in machine.calls()] == [".[studio,dev]"]
    machine.set_up("demo")
    assert not machine.calls()


def test_a_pip_that_failed_is_asked_again(machine: Machine) -> None:
    python = machine.clone / ".venv/bin/python"
    good = python.read_text()
    python.write_text(good.replace("exit;", "exit 1;"))
    done = machine.set_up()
    assert done.returncode == 1 and "pip could not install" in done.stderr
    python.write_text(good)
    machine.calls()
    assert machine.set_up().returncode == 0 and len(machine.calls()) == 1


def test_root_gets_what_is_missing_after_fetching_the_package_lists(machine: Machine) -> None:
    machine.libraries("libGL.so.1")
    assert machine.set_up().returncode == 0
    update, install, pip = machine.calls()
    assert update.startswith("apt-get update") and pip.startswith("pip ")
    assert install.startswith("apt-get install -y") and install.endswith(" libegl1 libportaudio2")


def test_the_tests_need_a_pretended_display_and_a_sound_server_too(machine: Machine) -> None:
    (machine.commands / "Xvfb").unlink()
    (machine.commands / "pulseaudio").unlink()
    machine.command("dpkg-query", '[ "$3" = libgl1-mesa-dri ] && printf "install ok installed"')
    if shutil.which("Xvfb") or shutil.which("pulseaudio"):
        missing = "libasound2-plugins"  # this machine's own Xvfb and pulseaudio are found behind the pretended ones
    else:
        missing = "xvfb pulseaudio libasound2-plugins"
    assert machine.set_up("test").returncode == 0
    assert any(call.endswith(f" {missing}") for call in machine.calls())
    assert machine.set_up("demo").returncode == 0
    assert not machine.calls()


@pytest.mark.parametrize("has_it", [True, False])
def test_a_browser_is_installed_for_the_tests_alone_and_one_that_cannot_be_had_stops_nothing(
    machine: Machine, tmp_path: Path, has_it: bool
) -> None:
    (machine.commands / "chromium").unlink()
    machine.command("apt-get", f'echo "apt-get $*" >> "$LOG"; case "$*" in *chromium*) exit {0 if has_it else 100};; esac')
    system = tmp_path / "system"  # this machine's commands without its browsers
    system.mkdir()
    for folder in (Path("/bin"), Path("/usr/bin")):
        for file in folder.iterdir():
            if "chrom" not in file.name and not (system / file.name).is_symlink():
                (system / file.name).symlink_to(file)
    done = machine.set_up("test", str(system))
    assert done.returncode == 0, done.stderr
    assert any(call.endswith(" chromium") for call in machine.calls())
    assert ("will be skipped" in done.stdout) != has_it
    (machine.clone / "tools/constraints.txt").write_text("# so that it installs again\n")
    assert machine.set_up("demo", str(system)).returncode == 0
    assert not any("chromium" in call for call in machine.calls())


def test_without_root_sudo_is_asked_if_it_answers_without_a_password(machine: Machine) -> None:
    machine.libraries("libGL.so.1", "libEGL.so.1")
    machine.command("id", "echo 1000")
    machine.command("sudo", '[ "$1" = -n ] && shift; echo "sudo $*" >> "$LOG"')
    assert machine.set_up().returncode == 0
    asked, update, install, _ = machine.calls()
    assert asked == "sudo true" and update.startswith("sudo apt-get update")
    assert "apt-get install" in install and install.endswith(" libportaudio2")


@pytest.mark.parametrize("knows", [True, False])
def test_where_sudo_wants_a_password_it_is_asked_for_once_and_only_at_a_terminal(machine: Machine, knows: bool) -> None:
    machine.libraries("libGL.so.1", "libEGL.so.1")
    machine.command("id", "echo 1000")
    machine.command("sudo", f'echo "sudo $*" >> "$LOG"; case $1 in -n) exit 1;; -v) exit {0 if knows else 1};; esac')
    done = machine.set_up()
    assert machine.calls()[0] == "sudo -n true" and "password" not in done.stdout
    assert done.stderr.rstrip().endswith("apt-get install libportaudio2")
    (machine.clone / ".venv/.set_up_demo").unlink()
    ours, its = os.openpty()
    try:
        done = machine.set_up(stdin=its)
    finally:
        os.close(ours)
        os.close(its)
    assert done.returncode == 0 and done.stdout.count("your password") == 1
    calls = machine.calls()
    assert calls[:2] == ["sudo -n true", "sudo -v"] and calls.count("sudo -v") == 1
    if knows:
        assert calls[2] == "sudo apt-get update -qq" and calls[3].endswith("--no-install-recommends libportaudio2")
    else:
        assert done.stderr.rstrip().endswith("apt-get install libportaudio2") and len(calls) == 3


def test_a_folder_that_is_no_environment_is_never_erased(machine: Machine, tmp_path: Path) -> None:
    holiday = tmp_path / "my holiday"
    holiday.mkdir()
    (holiday / "picture.jpg").write_text("dear")
    done = machine.set_up(venv=str(holiday))
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "pyvenv.cfg" in done.stderr
    assert [p.name for p in holiday.iterdir()] == ["picture.jpg"] and not machine.calls()
    done = machine.set_up(venv=str(holiday / "picture.jpg"))
    assert done.returncode == 1 and (holiday / "picture.jpg").read_text() == "dear"


@pytest.mark.parametrize("before", ["nothing", "an empty folder", "a broken environment"])
def test_an_environment_is_made_where_there_is_none_and_anew_where_it_is_broken(
        machine: Machine, tmp_path: Path, before: str) -> None:
    venv = tmp_path / "an environment"
    if before != "nothing":
        venv.mkdir()
    if before == "a broken environment":
        (venv / "pyvenv.cfg").write_text("home = /no/such/python\n")
    machine.command("python3", f'[ "$2" = venv ] && {{ echo "python3 $*" >> "$LOG"; exit 1; }}\nexec {sys.executable} "$@"')
    machine.set_up(venv=str(venv))
    assert machine.calls() == [f"python3 -m venv -- {venv}"] and not venv.exists()


def make_clean(clone: Path, venv: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(REPO / "Makefile", clone / "Makefile")
    return subprocess.run(["make", "-C", str(clone), "clean", f"VENV={venv}"], capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_clean_removes_an_environment_by_its_whole_name_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a", "b", "a b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyvenv.cfg").write_text("")
    assert make_clean(tmp_path, "a b").returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["Makefile", "a", "b"]
    (tmp_path / "a" / "pyvenv.cfg").rename(tmp_path / "a" / "letter")
    done = make_clean(tmp_path, "a")
    assert done.returncode == 0 and "pyvenv.cfg" in done.stdout and (tmp_path / "a" / "letter").exists()
    assert make_clean(tmp_path, "never made").returncode == 0


def test_without_root_and_sudo_one_sentence_names_what_is_missing(machine: Machine) -> None:
    machine.libraries()
    machine.command("id", "echo 1000")
    done = machine.set_up()
    assert done.returncode == 1 and not machine.calls()
    assert done.stderr.count("\n") == 1 and done.stderr.rstrip().endswith("apt-get install libegl1 libgl1 libportaudio2")


def test_a_missing_sound_library_does_not_stop_a_demo_that_can_be_seen(machine: Machine) -> None:
    machine.libraries("libGL.so.1", "libEGL.so.1")
    machine.command("id", "echo 1000")
    done = machine.set_up()
    assert done.returncode == 0 and done.stderr.rstrip().endswith("apt-get install libportaudio2")
    assert len(machine.calls()) == 1
