// The second half of the resampler (every column to its height on the output), then the film's look, all in linear
// light. LOOK: exposure, saturation, grain, warmth, flicker, vignette; CONTRAST: the curve, which costs six roots.
#include "srgb.glsl"

uniform sampler2D rows;
uniform int shift_x;       // column of `rows` = pixel x + shift_x
uniform int last_x;        // last column of `rows`
uniform float fade;        // of the cut list: 1 = picture, 0 = fade_colour
uniform vec3 fade_colour;
uniform float level;       // of the operator's fade
#if LOOK
uniform float gain;        // exposure, as a factor
uniform float saturation;
uniform float contrast;
uniform float grain;       // standard deviation in coded values, at middle grey
uniform sampler2D grain_tile;
uniform mat3x2 grain_place;  // tile position = grain_place * (pixel, 1)
uniform vec2 grain_level;    // value = (tile - y) * x: mean 0, variance 1
uniform vec3 lamp;           // warmth and flicker, as a factor for each colour
uniform vec3 vignette;       // centre x, y in pixels; strength: light = 1 / (1 + strength * r^2)^2, r = 1 in the corners
uniform float corner_px2;    // square of the distance from the centre to a corner
#endif
#include "resample.glsl"

out vec4 picture;

vec3 texel_at(int y)
{
    return texelFetch(rows, ivec2(clamp(int(gl_FragCoord.x) + shift_x, 0, last_x), y), 0).rgb;
}

#if LOOK
const float GREY = 0.4243;  // square root of 0.18, middle grey

vec3 graded(vec3 light)
{
    light *= gain;
    light = max(mix(vec3(luminance(light)), light, saturation), 0.0);
#if CONTRAST
    // A straight line of slope `contrast` through middle grey in log odds: black stays black and white stays white,
    // as on a print; a power curve would burn a white room out.
    vec3 v = sqrt(min(light, 1.0));
    vec3 odds = pow(v / max(1.0 - v, 1e-4) * ((1.0 - GREY) / GREY), vec3(contrast)) * (GREY / (1.0 - GREY));
    v = odds / (1.0 + odds);
    light = v * v;
#endif
    return light;
}

vec3 grained(vec3 light)
{
    // In v = sqrt(light), which is close to how the display codes it: v becomes v + s n, where s is greatest in the
    // middle tones and nothing in clear film and full black. Dividing by 1 + q^2, the mean of (1 + q n)^2, keeps the
    // exposure: grain does not brighten.
    float n = (texture(grain_tile, grain_place * vec3(gl_FragCoord.xy, 1.0)).r - grain_level.y) * grain_level.x;
    float v = sqrt(clamp(luminance(light), 0.0, 1.0));
    float q = grain * 4.0 * (1.0 - v);
    float light_through = 1.0 + q * n;
    return light * (light_through * light_through / (1.0 + q * q));
}
#endif

void main()
{
    resample_start(gl_FragCoord.y);
    for (int tap = 0; tap < TAP_COUNT; tap++)
        resample_add(texel_at(resample_index(tap)), tap);
    vec3 light = max(resample_end(), 0.0);
#if LOOK
    light = graded(light);
#endif
    light = mix(fade_colour, light, fade);
#if LOOK
    light = grained(light);
    vec2 away = gl_FragCoord.xy - vignette.xy;
    float fall = 1.0 + vignette.z * dot(away, away) / corner_px2;
    light *= lamp / (fall * fall);
#endif
    picture = vec4(light * level, 1.0);
}
