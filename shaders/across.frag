// The first half of the resampler: every row of the film's picture to the width it has on the output.
uniform sampler2D picture;
#include "resample.glsl"

out vec4 row;

vec3 texel_at(int x)
{
    return texelFetch(picture, ivec2(x, int(gl_FragCoord.y)), 0).rgb;
}

void main()
{
    resample_start(gl_FragCoord.x);
    for (int tap = 0; tap < TAP_COUNT; tap++)
        resample_add(texel_at(resample_index(tap)), tap);
    vec3 light = resample_end();
    row = vec4(light, 1.0);
}
