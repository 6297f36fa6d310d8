// The linear picture -> one output: sRGB, and a still dither so that eight bits show no bands.
#include "srgb.glsl"

uniform sampler2D picture;
uniform ivec2 size;    // of the output's viewport, in pixels
uniform ivec2 corner;  // its lower left corner in the framebuffer

out vec4 coded;

void main()
{
    vec2 pixel = gl_FragCoord.xy - vec2(corner);
    pixel.y = float(size.y) - pixel.y;  // pictures have their top row first, GL's framebuffers their bottom row
#if STRETCH
    vec3 light = texture(picture, pixel / vec2(size)).rgb;
#else
    vec3 light = texelFetch(picture, ivec2(pixel), 0).rgb;
#endif
    // Interleaved gradient noise (Jimenez, Next Generation Post Processing in Call of Duty, 2014): every value of
    // 0..1 about once in each 3 x 3 pixels. It does not move: a moving dither would be seen as noise in held pictures.
    float still = fract(52.9829189 * fract(dot(floor(pixel), vec2(0.06711056, 0.00583715))));
    coded = vec4(coded_of(light) + (still - 0.5) * (0.98 / 255.0), 1.0);
}
