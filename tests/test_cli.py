"""The `cineml` command: every verb is there, imported late, and people's mistakes cost them one sentence."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from player.show.problem import Problem, ShowError
from tools import cli, doctor

REPO = Path(__file__).resolve().parents[1]


def call(*argv: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *python, "-m", "tools.cli", *argv], cwd=REPO, capture_output=True, text=True,
                          timeout=120)


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A verb 'trial' whose main does what the test's parameter says."""
    class Trial:
        @staticmethod
        def main(argv: list[str]) -> int:
            return request.param(argv)  # type: ignore[no-any-return]

    monkeypatch.setitem(cli.VERBS, "trial", cli.Verb("trial_module", "a trial", ("cineml trial a", "cineml trial b"), ("x",)))
    monkeypatch.setitem(sys.modules, "trial_module", Trial)  # type: ignore[arg-type]
    return "trial"


def raises(error: BaseException):  # type: ignore[no-untyped-def]
    def main(argv: list[str]) -> int:
        raise error
    return main


def test_help_names_every_verb_with_two_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name, row in cli.VERBS.items():
        assert f"\n  {name} " in text
        for example in row.examples:
            assert example.startswith(f"cineml {name}") and f"  {example}\n" in text


def test_every_verb_has_a_module_with_a_main() -> None:
    """Read from the source: importing would need torch, and the table must hold in a base install too."""
    for name, row in cli.VERBS.items():
        path = REPO / (row.module.replace(".", "/") + ".py")
        assert path.is_file(), f"cineml {name}: no {row.module}"
        mains = [n for n in ast.parse(path.read_text(encoding="utf-8")).body
                 if isinstance(n, ast.FunctionDef) and n.name == "main"]
        assert mains and mains[0].args.args, f"cineml {name}: {row.module}.main takes no arguments"


@pytest.mark.parametrize("name", list(cli.VERBS))
def test_a_verbs_own_help_works_and_ends_with_examples(name: str, capsys: pytest.CaptureFixture[str],
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: the studio's verbs import torch, which takes seconds each time."""
    monkeypatch.setattr(sys, "argv", ["cineml"])
    assert cli.main([*name.split(), "--help"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"usage: cineml {name} ") and printed.out.count("examples:") == 1
    assert not printed.err


def test_a_verb_is_imported_only_when_it_is_called() -> None:
    done = call("--version", python=("-X", "importtime"))
    assert done.returncode == 0 and done.stdout.startswith("cineml ")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = ("torch", "numpy", "onnxruntime", "moderngl", "glfw", "sounddevice", "av", "tools.doctor", "player.__main__")
    assert not loaded & set(heavy)


@pytest.mark.parametrize(("argv", "sentence"), [
    (["ply"], "cineml has no verb 'ply'; did you mean 'play'?"),
    (["gan", "trian"], "cineml gan has no 'trian'; there are: gan distill, gan edit, gan export, gan import, gan metrics, "
     "gan project, gan sample, gan timelapse, gan train, gan walk"),
    (["gan"], "cineml gan needs one word more"),
])
def test_an_unknown_verb_costs_one_sentence(argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err and printed.err.count("\n") == 1 and not printed.out


def problems(argv: list[str]) -> int:
    raise ShowError([Problem("show.toml: film", "is missing"), Problem("show.toml: fps", "is not known", hint="'rate'")])


@pytest.mark.parametrize("verb", [problems], indirect=True)
def test_every_problem_is_one_line_and_the_exit_code_is_2(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["cineml: show.toml: film: is missing", "cineml: show.toml: fps: is not known; try: 'rate'"]


@pytest.mark.parametrize("verb", [raises(KeyboardInterrupt())], indirect=True)
def test_ctrl_c_is_answered_calmly(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb]) == 130
    assert capsys.readouterr().err == "cineml: stopped by hand.\n"


@pytest.mark.parametrize("verb", [raises(ModuleNotFoundError("No module named 'torch'", name="torch"))], indirect=True)
def test_a_studio_verb_without_torch_says_how_to_get_it(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb]) == 2
    printed = capsys.readouterr().err
    assert 'pip install "cineml[studio]"' in printed and "torch" in printed and printed.count("\n") == 1


@pytest.mark.parametrize("verb", [raises(ModuleNotFoundError("No module named 'player.nosuch'", name="player.nosuch"))],
                         indirect=True)
def test_a_fault_of_our_own_is_not_dressed_up_as_a_missing_extra(verb: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        cli.main([verb])


@pytest.mark.parametrize("verb", [raises(KeyError("shot"))], indirect=True)
def test_a_lookup_error_inside_a_verb_is_not_taken_for_a_misspelt_verb(verb: str) -> None:
    with pytest.raises(KeyError):
        cli.main([verb])


@pytest.mark.parametrize("verb", [lambda argv: {("x", "--deep", "3"): 0}.get(tuple(argv), 1)], indirect=True)
def test_a_verb_gets_its_words_and_gives_its_exit_code(verb: str) -> None:
    assert cli.main([verb, "--deep", "3"]) == 0
    assert cli.main([verb]) == 1


@pytest.mark.slow
def test_doctor_tells_what_is_here_as_a_table_and_as_json() -> None:
    done = call("doctor", "--json")
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    parts = {f["part"] for f in report["findings"]}
    assert parts == {"machine", "GL", "screens", "models", "sound", "video"}
    assert done.returncode == (1 if any(f["needed"] and not f["ok"] for f in report["findings"]) else 0)
    cpu = next(f for f in report["findings"] if f["name"] == "CPU")
    assert cpu["ok"], "a session on the CPU opens wherever onnxruntime does"
    text = doctor.table([doctor.Finding(**f) for f in report["findings"]])
    assert all(f["text"] in text for f in report["findings"])
    for f in report["findings"]:
        assert f["ok"] or f["todo"], f"says that {f['name']} is missing and not what to do"


@pytest.mark.parametrize(("code", "said"), [
    ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    ("raise OSError('libEGL is not here')", "libEGL is not here"),
    ("import time; time.sleep(60)", "no answer"),
])
def test_a_probe_that_crashes_fails_or_hangs_costs_its_own_line(code: str, said: str, monkeypatch: pytest.MonkeyPatch,
                                                                tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text(f"#!{sys.executable}\n{code}\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    monkeypatch.setattr(doctor, "PROBE_LIMIT_S", 1.0)
    (finding,) = doctor.run_probe("GL")
    assert not finding.ok and finding.needed and said in finding.text and finding.todo
    assert doctor.verdict([finding]).startswith("No show plays here")


WITHOUT_STUDIO = """
import contextlib, io, json, sys
from tools import cli
for name in cli.STUDIO_MODULES:
    sys.modules[name] = None  # as if it were not installed
told = {}
for name in cli.VERBS:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = cli.main([*name.split(), "--help"])
    told[name] = code, printed.getvalue()
print(json.dumps(told))
"""
LIGHT = ("demo", "new", "play", "render", "check", "doctor", "bench", "gan timelapse", "gan metrics", "strip",
         "cuts convert", "cuts check", "remake", "film probe", "film dataset", "film frames",
         "film audio", "cuts detect", "cuts group", "review", "sort",
         "keyframes propagate", "style dream", "style apply", "style measure")  # these help by themselves


def test_every_verb_helps_where_the_studio_is_not_installed() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_STUDIO], cwd=REPO, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr
    for name, (code, told) in json.loads(done.stdout).items():
        assert code == 0 and told.startswith(f"usage: cineml {name} ") and told.count("examples:") == 1, told
        assert all(example in told for example in cli.VERBS[name].examples) or name in LIGHT, told
        assert ('pip install "cineml[studio]"' in told) == (name not in LIGHT), told
        assert name in LIGHT or "-o " in told, f"cineml {name} tells its options"


def imported_by(module: str) -> list[ast.ImportFrom]:
    tree = ast.parse((REPO / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
    return [n for n in tree.body if isinstance(n, ast.ImportFrom)]


def test_the_options_told_without_the_studio_are_the_verbs_own() -> None:
    for row in cli.VERBS.values():
        if row.options:
            imports = imported_by(row.module)
            nearby = [n for n in imports if n.module and n.module.startswith("tools.") and n.module != row.options]
            imports += [n for near in nearby for n in imported_by(str(near.module))]  # gan train reads its own in train_options
            told = {a.name for n in imports if n.module == row.options for a in n.names}
            assert told & {"arguments", "options_from"}, row.module  # the second reads by the first


def test_help_and_readme_tell_the_same_exit_codes() -> None:
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    told = readme[readme.index("Exit codes:"):readme.index("## Keys")]
    for text in (told, cli.EXIT_CODES):
        assert re.findall(r"\b(0|1|2|130) +(?=\w)", text) == ["0", "1", "2", "130"], text
        assert all(verb in text for verb in ("render", "demo", "bench", "doctor", "traceback", "Ctrl-C"))
    assert cli.EXIT_CODES in cli.help_text()
