"""What is installed: the wheel, in an environment without torch, plays, checks and tells what it found.

The environment is a true one (venv, pip install of the wheel, the `cineml` script), except that what it depends on is not
downloaded: the distributions that the wheel requires, and those that they require, are linked into it one by one from
the development environment. So a package that pyproject.toml forgets is missing there, as it would be for a user.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from PIL import Image

REPO = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))

def distribution(requirement: str) -> str:
    """'av>=16; marker' -> 'av'."""
    return re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0].lower()


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel. root: the venv. away: an empty folder to run in."""

    wheel: Path
    root: Path
    away: Path

    def run(self, *argv: str, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
        """`cineml ARGV` there, with nothing of this clone or of the tests' environment variables in reach."""
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}
        return subprocess.run([self.root / "bin" / "cineml", *argv], cwd=self.away, env=env, capture_output=True, text=True,
                              timeout=timeout_s)


def required(requirements: Iterable[str]) -> set[str]:
    """The distributions that these requirements mean on this machine, with all that those require."""
    found: set[str] = set()
    waiting = list(requirements)
    while waiting:
        requirement = Requirement(waiting.pop())
        name = requirement.name.lower()
        if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found.add(name)
            waiting += importlib.metadata.requires(name) or []
    return found


def link(name: str, site: Path) -> None:
    """Links an installed distribution's packages and metadata into another site-packages."""
    files = importlib.metadata.files(name) or []
    here = Path(sysconfig.get_path("purelib"))
    for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(here / top)


def must(command: list[str | Path]) -> str:
    """What a command prints; where it fails, the test fails with its words."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    if os.name == "nt":
        pytest.skip("the .pth trick is written for POSIX paths")
    base = tmp_path_factory.mktemp("wheel")
    # A copy, so that no build/ and no egg-info of an earlier build slips into the wheel or is left in the clone.
    tree = base / "tree"
    keep = ("models", "player", "tools", "shaders", "show_configs", "pyproject.toml", "README.md", "LICENSE")
    tree.mkdir()
    for name in keep:
        source = REPO / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    must([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", base, tree])
    (wheel,) = base.glob("*.whl")
    root = base / "venv"
    must([sys.executable, "-m", "venv", "--without-pip", root])
    python = root / "bin" / "python"
    must([*pip, "--python", python, "install", "--no-deps", "--no-index", wheel])
    site = Path(must([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
    for name in required(PROJECT["project"]["dependencies"]):
        link(name, site)
    away = base / "away"
    away.mkdir()
    return Installed(wheel, root, away)


def test_the_constraints_pin_what_is_installed_here() -> None:
    lines = (REPO / "tools/constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    wrong = []
    for name, version in pins.items():
        try:
            here = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue  # a dependency of another platform
        if here != version:
            wrong.append(f"{name} {here}, pinned {version}")
    assert not wrong, f"not what was tested: {wrong}"
    assert all(re.fullmatch(r"[\d.]+\w*", version) for version in pins.values())


def test_every_requirement_that_this_machine_has_is_pinned() -> None:
    text = (REPO / "tools/constraints.txt").read_text(encoding="utf-8").lower()
    extras = PROJECT["project"]["optional-dependencies"]
    for requirement in (*PROJECT["project"]["dependencies"], *extras["studio"], *extras["dev"]):
        name = distribution(requirement)
        if name != "onnxruntime":  # the other platforms' one
            assert re.search(rf"^{re.escape(name)}==", text, re.MULTILINE), f"{name} is not pinned"


def test_every_dependency_is_imported_by_someone() -> None:
    """A gallery machine installs nothing that no line of ours uses."""
    imports = {alias.partition(".")[0] for top in ("models", "player", "tools") for path in (REPO / top).rglob("*.py")
               for alias in re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)}
    owners = importlib.metadata.packages_distributions()
    used = {owner.lower() for name in imports for owner in owners.get(name, [])}
    asked = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["studio"]]
    unused = {distribution(requirement) for requirement in asked} - used - {"onnxruntime"}
    assert not unused, f"nobody imports {sorted(unused)}"


def test_every_package_folder_is_named_in_pyproject() -> None:
    folders = {".".join(p.parent.relative_to(REPO).parts) for top in ("models", "player", "shaders", "show_configs", "tools")
               for p in (REPO / top).rglob("__init__.py")}
    assert folders == set(PROJECT["tool"]["setuptools"]["packages"])


@pytest.mark.slow
def test_the_wheel_carries_shaders_and_shows_and_no_tests(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"models", "player", "tools", "shaders", "show_configs", f"cineml-{PROJECT['project']['version']}.dist-info"}
    carried = {"shaders": (".glsl", ".frag", ".vert"), "show_configs": (".toml", ".npz", ".csv", ".onnx", ".mp4", ".png")}
    for folder, suffixes in carried.items():
        for path in (REPO / folder).rglob("*"):
            name = path.relative_to(REPO).as_posix()
            if path.suffix in suffixes and path.name != "generator.onnx":
                assert name in names, f"{name} is not in the wheel"
    assert not any("__pycache__" in name or name.endswith(".part") for name in names)


@pytest.mark.slow
def test_cineml_helps_in_an_environment_without_torch(installed: Installed) -> None:
    done = installed.run("--help")
    assert done.returncode == 0 and "cineml play" in done.stdout, done.stderr
    assert installed.run("--version").stdout == f"cineml {PROJECT['project']['version']}\n"


@pytest.mark.slow
def test_doctor_works_without_torch_and_says_so(installed: Installed) -> None:
    done = installed.run("doctor", "--json")
    assert "Traceback" not in done.stderr, done.stderr
    findings = {f["name"]: f for f in json.loads(done.stdout)["findings"]}
    assert not findings["studio"]["ok"] and "cineml[studio]" in findings["studio"]["todo"]
    assert findings["CPU"]["ok"]


@pytest.mark.slow
def test_a_studio_verb_without_torch_costs_one_sentence(installed: Installed) -> None:
    done = installed.run("gan", "train", "film.mp4")
    assert done.returncode == 2 and "cineml[studio]" in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


STUDIO = ("gan train", "gan import", "gan export", "gan sample", "gan walk", "gan project", "gan edit", "gan distill", "remap")


@pytest.mark.slow
@pytest.mark.parametrize("verb", STUDIO)
def test_a_studio_verb_helps_without_torch(installed: Installed, verb: str) -> None:
    done = installed.run(*verb.split(), "--help")
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert done.stdout.startswith(f"usage: cineml {verb} ") and done.stdout.count(f"  cineml {verb} ") >= 2
    assert done.stdout.endswith('pip install "cineml[studio]"\n')


@pytest.mark.slow
def test_what_the_bench_needs_of_the_studio_it_says_at_once(installed: Installed) -> None:
    done = installed.run("bench", "player")
    assert done.returncode == 2 and "cineml[studio]" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    if not (REPO / "show_configs" / "demo" / "demo.toml").is_file():
        pytest.skip("the demo is not made yet")
    done = installed.run("bench", "player", "--only", "start")
    assert done.returncode in (0, 1) and "| first picture after" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_a_training_runs_film_is_made_without_torch(installed: Installed) -> None:
    grids = installed.away / "run" / "grids"
    grids.mkdir(parents=True)
    for kimg in (0, 4):
        Image.new("L", (64, 48), 40 * kimg).save(grids / f"{kimg:06d}.png")
    done = installed.run("gan", "timelapse", "run", "-o", "run.mp4")
    assert done.returncode == 0 and (installed.away / "run.mp4").stat().st_size > 500, done.stderr


def show_path(installed: Installed, name: str) -> str:
    """A show's path inside the environment, as importlib.resources finds it there."""
    code = f"import importlib.resources as r; print(r.files('show_configs') / {name!r})"
    done = subprocess.run([installed.root / "bin" / "python", "-c", code], cwd=installed.away, capture_output=True, text=True)
    path = Path(done.stdout.strip())
    assert installed.root in path.parents, done.stderr
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("show", ["testcard.toml", "demo/demo.toml"])
def test_the_installed_shows_check_and_play_without_torch(installed: Installed, show: str) -> None:
    if not (REPO / "show_configs" / show).is_file():
        pytest.skip(f"show_configs/{show} is not made yet")
    path = show_path(installed, show)
    done = installed.run("check", path, "--offscreen", "--osc-port", "0")
    assert done.returncode == 0, done.stderr
    done = installed.run("play", path, "--offscreen", "--no-sound", "--osc-port", "0", "--duration", "2",
                         "--stats", "stats.json")
    assert done.returncode == 0, done.stderr
    stats = json.loads((installed.away / "stats.json").read_text())
    assert stats["refreshes"] >= 20 and stats["pictures"] >= 1
