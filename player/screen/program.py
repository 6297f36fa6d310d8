"""Shader files to GL programs: #include, #defines, and errors that name the file and the line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import moderngl

from player.show.problem import Problem, ShowError

VERSION = "330 core"  # the oldest GL that every desktop driver of the last ten years gives
FULL_SCREEN = "full_screen.vert"
_INCLUDE = re.compile(r'^\s*#include\s+"([^"]+)"\s*$')
# Mesa and Intel: '0:12(5): error: ...'; NVIDIA: '0(12) : error ...'; AMD and Apple: 'ERROR: 0:12: ...'.
_ERROR_PLACES = (re.compile(r"^(\d+):(\d+)\(\d+\): (.*)"), re.compile(r"^(\d+)\((\d+)\) : (.*)"),
                 re.compile(r"^ERROR: (\d+):(\d+): (.*)"))


@dataclass(frozen=True)
class Source:
    """GLSL ready for the compiler; files[i] is what `#line N i` stands for."""

    text: str
    files: tuple[str, ...]


def read_shader(name: str) -> str:
    """The text of a file in shaders/. Raises ShowError when it is not there."""
    try:
        return resources.files("shaders").joinpath(name).read_text(encoding="utf-8")
    except (OSError, ModuleNotFoundError) as e:
        problem = Problem(f"shaders/{name}", f"cannot be read ({e})", "the shaders that come with cineml")
        raise ShowError(problem) from None


def assemble(name: str, defines: Mapping[str, int | float] | None = None) -> Source:
    """A shader file with its #include "file" lines replaced, each file once, and #defines put before it.

    Raises ShowError for a file that is missing or an #include that stands inside itself.
    """
    files: list[str] = []
    head = [f"#version {VERSION}", *(f"#define {k} {v}" for k, v in (defines or {}).items())]
    body = _expand(name, files, ())
    return Source("\n".join([*head, *body, ""]), tuple(files))


def _expand(name: str, files: list[str], inside: tuple[str, ...]) -> list[str]:
    if name in inside:
        given = f"includes {name}, which includes it"
        raise ShowError(Problem(f"shaders/{inside[-1]}", given, "files without a circle"))
    if name in files:
        return []
    number = len(files)
    files.append(name)
    out = [f"#line 1 {number}"]
    for i, line in enumerate(read_shader(name).splitlines(), start=1):
        if found := _INCLUDE.match(line):
            out += [*_expand(found[1], files, (*inside, name)), f"#line {i + 1} {number}"]
        elif not line.startswith("#version"):
            out.append(line)
    return out


def explain(message: str, sources: tuple[Source, ...]) -> list[Problem]:
    """A driver's compile log as problems that name file and line; the log itself where no line can be read."""
    found: list[Problem] = []
    for line in message.splitlines():
        for pattern in _ERROR_PLACES:
            if (place := pattern.match(line.strip())) and "warning" not in place[3][:8].lower():
                # The log does not say which of the two shaders it means: the last one is the fragment shader,
                # and the vertex shader is one file that is never specialised.
                files = sources[-1].files
                number = int(place[1])
                file = files[number] if number < len(files) else f"source {number}"
                found.append(Problem(f"shaders/{file}:{place[2]}", place[3].strip()))
                break
    return found or [Problem(f"shaders/{sources[-1].files[0]}", message.strip() or "does not compile")]


class Programs:
    """Programs by shader name and #defines, each compiled once. Main thread only."""

    def __init__(self, ctx: moderngl.Context):
        self._ctx = ctx
        self._vertex = assemble(FULL_SCREEN)
        self._made: dict[tuple[str, tuple[tuple[str, int | float], ...]], moderngl.VertexArray] = {}

    def get(self, name: str, defines: Mapping[str, int | float] | None = None) -> moderngl.VertexArray:
        """A full-screen triangle with the fragment shader `name`; set uniforms through `.program`.

        Raises ShowError with file and line for a shader that does not compile.
        """
        key = (name, tuple(sorted((defines or {}).items())))
        if key not in self._made:
            source = assemble(name, defines)
            try:
                program = self._ctx.program(vertex_shader=self._vertex.text, fragment_shader=source.text)
            except moderngl.Error as e:
                raise ShowError(explain(str(e), (self._vertex, source))) from None
            self._made[key] = self._ctx.vertex_array(program, [])
        return self._made[key]

    def draw(self, name: str, defines: Mapping[str, int | float], uniforms: Mapping[str, object]) -> None:
        """Draws over the whole viewport of the bound framebuffer. Uniforms the program has no use for are left out,
        since a #define or the compiler may have removed them."""
        triangle = self.get(name, defines)
        program = triangle.program
        for uniform, value in uniforms.items():
            member = program.get(uniform, None)
            if isinstance(member, moderngl.Uniform):
                # The compiler cuts arrays down to the part that is used.
                if isinstance(value, list):
                    value = (value + value)[:member.array_length] if member.array_length > 1 else value[0]
                member.value = value
        triangle.render(moderngl.TRIANGLES, vertices=3)

    def release(self) -> None:
        for triangle in self._made.values():
            triangle.program.release()
            triangle.release()
        self._made.clear()
