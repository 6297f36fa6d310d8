"""Draws one scene of the demo film through OpenGL without a display: three passes of shaders/film_room.frag."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import moderngl
import numpy as np
from numpy.typing import NDArray

from tools.film_body import FIGURE_VECTORS, Pose, pack, solve, unit, v3

SHADERS = Path(__file__).resolve().parent.parent / "shaders"
FULL_SCREEN = """#version 330
in vec2 corner;
void main() { gl_Position = vec4(corner, 0.0, 1.0); }
"""
Triple = tuple[float, float, float]
BLOCK = 4  # pixels, as in the shader


@dataclass(frozen=True)
class Scene:
    """Everything one picture of the film shows; lengths in metres, brightness relative."""

    figures: tuple[Pose, ...]
    eye: Triple
    target: Triple
    fov: float = 30.0  # vertical, degrees
    tilt: float = 0.0  # camera rolled, degrees
    sun: Triple = (-0.75, 0.85, 0.55)  # towards the key light
    key: float = 1.25
    sky: float = 0.40
    exposure: float = 2.05
    hardness: float = 3.0  # of shadows: larger is harder
    horizon: float = 1.25
    above: float = 1.05
    floor: float = 1.30
    vignette: float = 0.10
    table: bool = False
    fork: tuple[Triple, Triple] = field(default=((0.0, -9.0, 0.0), (0.0, -9.0, 0.1)))


def camera_axes(scene: Scene) -> NDArray[np.float64]:
    """Right, up and forward of the camera as columns [3, 3]."""
    forward = unit(np.array(scene.target) - np.array(scene.eye))
    right = unit(np.cross(forward, v3(0.0, 1.0, 0.0)))
    up = np.cross(right, forward)
    c, s = np.cos(np.radians(scene.tilt)), np.sin(np.radians(scene.tilt))
    return np.stack([c * right + s * up, c * up - s * right, forward], axis=1)


def uniforms(scene: Scene, size: tuple[int, int]) -> tuple[bytes, dict[str, object]]:
    """What the shader is told: the array F as bytes, and the other uniforms by name."""
    packed = np.zeros((2 * FIGURE_VECTORS, 4), dtype=np.float32)
    for i, pose in enumerate(scene.figures):
        packed[i * FIGURE_VECTORS : (i + 1) * FIGURE_VECTORS] = pack(solve(pose))
    values: dict[str, object] = {
        "figures": len(scene.figures),
        "eye": scene.eye,
        "camera": tuple(float(x) for x in camera_axes(scene).T.ravel()),
        "focal": 1.0 / float(np.tan(np.radians(scene.fov) / 2.0)),
        "size": tuple(float(n) for n in size),
        "sun": tuple(float(x) for x in unit(np.array(scene.sun))),
        "light": (scene.key, scene.sky, scene.exposure, scene.hardness),
        "room": (scene.horizon, scene.above, scene.floor, scene.vignette),
        "props": int(scene.table),
        "fork": (*scene.fork[0], 0.0),
        "forkend": (*scene.fork[1], 0.0),
    }
    return packed.tobytes(), values


class Stage:
    """Holds the GL context and the three programs for one picture size; close() frees them."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.gl = moderngl.create_context(standalone=True, backend="egl")
        source = (SHADERS / "film_figure.glsl").read_text() + (SHADERS / "film_room.frag").read_text()
        self.passes = [
            self.gl.program(vertex_shader=FULL_SCREEN, fragment_shader=f"#version 330\n{extra}\n{source}")
            for extra in ("#define COARSE", "", "#define SECOND_PASS")
        ]
        corners = self.gl.buffer(np.array([-1, -1, 3, -1, -1, 3], dtype="f4").tobytes())
        self.quads = [self.gl.vertex_array(program, [(corners, "2f", "corner")]) for program in self.passes]
        blocks = (-(-width // BLOCK), -(-height // BLOCK))
        sizes = ((blocks, 1), (self.size, 2), (self.size, 1))
        self.textures = [self.gl.texture(size, channels, dtype="f4") for size, channels in sizes]
        self.targets = [self.gl.framebuffer([texture]) for texture in self.textures]

    def draw(self, scene: Scene) -> NDArray[np.float32]:
        """The scene as display-linear grey [H, W] float32, 0..1, top row first."""
        packed, values = uniforms(scene, self.size)
        for program, quad, target in zip(self.passes, self.quads, self.targets, strict=True):
            if "F" in program:
                program["F"].write(packed)
            for name, value in values.items():
                if name in program:
                    program[name].value = value
            target.use()
            for unit_number, name in enumerate(("coarse", "first")):
                if name in program:
                    self.textures[unit_number].use(unit_number)
                    program[name].value = unit_number
            quad.render()
        raw = np.frombuffer(self.targets[2].read(components=1, dtype="f4"), dtype=np.float32)
        return raw.reshape(self.size[1], self.size[0])[::-1].copy()

    def close(self) -> None:
        """Frees the context."""
        self.gl.release()


def encode(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Display-linear 0..1 to 8-bit sRGB code values (IEC 61966-2-1), same shape, uint8."""
    x = np.clip(linear.astype(np.float64), 0.0, 1.0)
    y = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(x, 1.0 / 2.4) - 0.055)
    return np.asarray(np.floor(255.0 * y + 0.5), dtype=np.uint8)
