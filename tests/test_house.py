"""The house: who may import whom, what lies where, and that our package names are nobody else's.

The rules are ARCHITECTURE.md's; the imports are read from the syntax tree, so those hidden in functions count too.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
OURS = ("models", "player", "tools", "shaders", "show_configs", "tests")
CODE = ("models", "player", "tools")
GL = ("moderngl", "glfw", "glcontext", "OpenGL", "moderngl_window")
STUDIO = ("torch", "safetensors", "onnx", "onnxscript", "soundfile")
# What a base install has, by import name, plus the standard library; pyproject.toml's `dependencies`.
BASE = ("numpy", "onnxruntime", "moderngl", "glfw", "pythonosc", "sounddevice", "av", "PIL", "psutil")
TOP_FOLDERS = {".ci", "docs", "models", "player", "shaders", "show_configs", "tests", "tools"}
MAX_LINES = 500


@dataclass(frozen=True)
class Import:
    """One import: the module that holds it, the module it names, and where."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer} line {self.line} imports {self.imported}"


def module_name(path: Path) -> str:
    """player/show/film.py -> player.show.film; a package's __init__.py -> the package."""
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, importer: str, is_package: bool = False) -> Iterator[Import]:
    """Every import in a module's source: at the top, in functions, behind TYPE_CHECKING, and by import_module("name")."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = importer.split(".") if is_package else importer.split(".")[:-1]
                above = package[: len(package) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                yield Import(importer, f"{base}.{alias.name}", node.lineno)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__", "import_optional") and isinstance(node.args[0].value, str):
                yield Import(importer, node.args[0].value, node.lineno)


def within(module: str, *packages: str) -> bool:
    """Whether a dotted name is one of the packages or lies in one."""
    return any(module == p or module.startswith(p + ".") for p in packages)


def broken_rule(found: Import) -> str:
    """The rule that an import breaks, '' when it breaks none. The names are DESIGN's, section 3."""
    importer, imported = found.importer, found.imported
    top = imported.partition(".")[0]
    ours = top in OURS
    if top == "tests" and not within(importer, "tests"):
        return "only tests import tests"
    if within(importer, "models"):
        return "models imports nobody of ours" if ours and top != "models" else ""
    if not within(importer, "player"):
        return ""
    if top in (*STUDIO, "models", "tools"):
        return "player never imports torch, models or tools, nor anything else of the studio"
    if not ours and top not in BASE and top not in sys.stdlib_module_names:
        return "player imports what a base install has"
    if top in GL and not within(importer, "player.screen"):
        return "all GL is in player.screen"
    if top == "onnxruntime" and not within(importer, "player.sources", "player.__main__"):
        return "models run in player.sources"
    if within(importer, "player.show"):
        if ours and not within(imported, "player.show"):
            return "player.show imports nobody of ours"
        if not ours and top not in sys.stdlib_module_names and top != "numpy":
            return "player.show imports the standard library and NumPy only"
        if top in ("threading", "multiprocessing", "asyncio", "queue", "socket", "subprocess", "concurrent"):
            return "player.show has no threads and no devices"
        return ""
    if not ours:
        return ""
    allowed = {
        "player.state": ("player.show",),
        "player.captions": ("player.show", "player.state"),
        "player.sources": ("player.show", "player.state", "player.sources"),
        "player.screen": ("player.show", "player.state", "player.captions", "player.sources.frame", "player.screen",
                          "shaders"),
        "player.control": ("player.show", "player.state", "player.control"),
        "player.clock": ("player.show", "player.state"),
        "player.sound_file": ("player.show",),
        "player.soundtrack": ("player.show", "player.state", "player.clock", "player.sound_file"),
        "player.recorder": ("player.show", "player.state", "player.sound_file", "player.soundtrack"),
        "player.report": ("player.show", "player.state", "player.sources.frame"),
    }
    for package, others in allowed.items():
        if within(importer, package) and not within(imported, *others):
            return f"{package} imports {', '.join(others)} only"
    implementers = ("player.__main__", "player.sources.generator", "player.sources.film_reader", "player.screen.window",
                    "player.screen.offscreen")
    if within(importer, "player.playloop") and within(imported, *implementers):
        return "player.playloop knows the protocols, not who implements them"
    return ""


def python_files(*folders: str) -> list[Path]:
    return sorted(p for folder in folders for p in (REPO / folder).rglob("*.py"))


def all_imports() -> list[Import]:
    return [found for path in python_files(*CODE)
            for found in imports_of(path.read_text(encoding="utf-8"), module_name(path), path.name == "__init__.py")]


def test_every_import_follows_the_arrows() -> None:
    broken = [f"{found}: {rule}" for found in all_imports() if (rule := broken_rule(found))]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(("importer", "source"), [
    ("player.playloop", "import torch"),
    ("player.sources.generator", "def make():\n    from models.stylegan2 import Generator"),
    ("player.control.osc", "if True:\n    import importlib\n    importlib.import_module('tools.bench')"),
    ("player.show.walk", "from scipy.interpolate import CubicSpline"),
    ("player.show.film", "from player.state import ShowState"),
    ("player.show.config", "import threading"),
    ("player.sources.testcard", "import moderngl"),
    ("player.screen.compositor", "from player.sources.inference import Inference"),
    ("player.screen.texture", "from ..sources import generator"),
    ("player.screen.window", "import onnxruntime"),
    ("player.control.keyboard", "import glfw"),
    ("player.state", "from player.control import parameters"),
    ("player.report", "import requests"),
    ("player.sound_file", "def read():\n    import soundfile"),
    ("models.stylegan2", "from player.show import film"),
    ("tools.bench", "from tests.small_shows import show"),
])
def test_an_arrow_against_the_design_is_found_wherever_it_hides(importer: str, source: str) -> None:
    assert any(broken_rule(found) for found in imports_of(source, importer))


def test_the_tree_has_the_designs_folders_and_no_others() -> None:
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=REPO, text=True,
                            capture_output=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    folders = {line.partition("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    assert folders <= TOP_FOLDERS, f"not in the layout: {sorted(folders - TOP_FOLDERS)}"


def test_every_file_is_one_noun_or_deed() -> None:
    long = [f"{path.relative_to(REPO)}: {lines} lines" for path in python_files(*CODE)
            if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES]
    vague = [str(path.relative_to(REPO)) for path in python_files(*CODE)
             if re.search(r"util|helper|manager|common|misc", path.stem)]
    assert not long and not vague, f"too long: {long}; says nothing: {vague}"


def test_no_path_of_one_machine_is_written_down() -> None:
    pattern = re.compile(r"(?<![\w.])/(tmp|work|farm|root|home)/[a-z]")
    texts = [*python_files(*CODE), *(REPO / "docs").glob("*.md"), *REPO.glob("*.md"), REPO / "Makefile",
             REPO / "pyproject.toml", *(REPO / "shaders").iterdir(), *(REPO / "show_configs").rglob("*.toml")]
    found = [f"{path.relative_to(REPO)}: {hit[0]}" for path in texts if path.is_file()
             for hit in pattern.finditer(path.read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


def test_nothing_installed_beside_cineml_owns_our_package_names() -> None:
    owners = importlib.metadata.packages_distributions()
    clashes = {name: sorted(set(owners.get(name, [])) - {"cineml"}) for name in OURS if name != "tests"}
    assert not any(clashes.values()), f"other distributions own our names: {clashes}"


def test_the_player_state_is_frozen() -> None:
    """Classes that cross threads or hold the truth are frozen dataclasses: nobody can write what another reads."""
    for path in [REPO / "player/state.py", *sorted((REPO / "player/show").glob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                for decorator in node.decorator_list:
                    text = ast.unparse(decorator)
                    frozen = not text.startswith("dataclass") or "frozen=True" in text
                    assert frozen, f"{path.name}: {node.name} is not frozen"
