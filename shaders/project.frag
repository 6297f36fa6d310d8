// The picture -> one output: linear light becomes sRGB, with a still dither so that eight bits show no bands. BARE: it is sRGB
// already, a frame's own bytes, and is seen as it is.
#include "srgb.glsl"

uniform sampler2D picture;
uniform ivec2 size;    // of the output's viewport, in pixels
uniform ivec2 corner;  // its lower left corner in the framebuffer
#if BARE
uniform ivec4 film;   // x, y, width, height of what is seen of the film, in pixels of the output it was placed on; black beside it
uniform ivec2 first;  // its texel in the corner
uniform vec2 scale;   // pixels of that output, of one of this
#endif

out vec4 coded;

void main()
{
    vec2 pixel = gl_FragCoord.xy - vec2(corner);
    pixel.y = float(size.y) - pixel.y;  // pictures have their top row first, GL's framebuffers their bottom row
#if BARE
    ivec2 at = ivec2(pixel * scale) - film.xy;
    bool seen = all(greaterThanEqual(at, ivec2(0))) && all(lessThan(at, film.zw));
    coded = vec4(seen ? texelFetch(picture, first + at, 0).rgb : vec3(0.0), 1.0);
#else
#if STRETCH
    vec3 light = texture(picture, pixel / vec2(size)).rgb;
#else
    vec3 light = texelFetch(picture, ivec2(pixel), 0).rgb;
#endif
    // Interleaved gradient noise (Jimenez, Next Generation Post Processing in Call of Duty, 2014): every value of
    // 0..1 about once in each 3 x 3 pixels. It does not move: a moving dither would be seen as noise in held pictures.
    float still = fract(52.9829189 * fract(dot(floor(pixel), vec2(0.06711056, 0.00583715))));
    coded = vec4(coded_of(light) + (still - 0.5) * (0.98 / 255.0), 1.0);
#endif
}
