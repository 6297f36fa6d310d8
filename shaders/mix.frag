// The shots' pictures -> one picture of the film alone (no padding), linear light, at the source's own resolution.
// LAYERS: 1..4 pictures that are added by weight. REDUCE: each texel is the mean of reduce x reduce of the source
// (area-true shrinking). STRETCH: the pictures have different sizes; each is resampled to the target's.
#include "srgb.glsl"

uniform sampler2D layer0, layer1, layer2, layer3;
uniform vec4 weights;
uniform ivec4 bounds[4];  // first x, first y, last x, last y of the texels that lie wholly inside the film's picture
uniform vec4 places[4];   // STRETCH: source position = place.xy + place.zw * target texel centre
uniform int reduce;

out vec4 picture;

vec3 texel(sampler2D layer, ivec4 bound, ivec2 at)
{
    return linear_of(texelFetch(layer, clamp(at, bound.xy, bound.zw), 0).rgb);
}

vec4 catmull_rom(float f)
{
    return vec4(((-0.5 * f + 1.0) * f - 0.5) * f, (1.5 * f - 2.5) * f * f + 1.0,
                ((-1.5 * f + 2.0) * f + 0.5) * f, (0.5 * f - 0.5) * f * f);
}

vec3 layer_at(sampler2D layer, ivec4 bound, vec4 place)
{
    ivec2 at = ivec2(gl_FragCoord.xy);
#if STRETCH
    vec2 centre = place.xy + place.zw * gl_FragCoord.xy;
    ivec2 steps = ivec2(ceil(place.zw - 0.01));
    if (max(steps.x, steps.y) > 1) {
        vec3 sum = vec3(0.0);
        for (int y = 0; y < steps.y; y++)
            for (int x = 0; x < steps.x; x++)
                sum += texel(layer, bound, ivec2(floor(centre + ((vec2(x, y) + 0.5) / vec2(steps) - 0.5) * place.zw)));
        return sum / float(steps.x * steps.y);
    }
    ivec2 first = ivec2(floor(centre - 0.5)) - 1;
    vec2 f = fract(centre - 0.5);
    vec4 across = catmull_rom(f.x), down = catmull_rom(f.y);
    vec3 sum = vec3(0.0);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 4; x++)
            sum += across[x] * down[y] * texelFetch(layer, clamp(first + ivec2(x, y), bound.xy, bound.zw), 0).rgb;
    return linear_of(clamp(sum, 0.0, 1.0));  // decoded once: this is the rare case, and sixteen roots are slow to compile
#elif REDUCE
    vec3 sum = vec3(0.0);
    for (int y = 0; y < reduce; y++)
        for (int x = 0; x < reduce; x++)
            sum += texel(layer, bound, bound.xy + at * reduce + ivec2(x, y));
    return sum / float(reduce * reduce);
#else
    return texel(layer, bound, bound.xy + at);
#endif
}

void main()
{
    vec3 sum = weights.x * layer_at(layer0, bounds[0], places[0]);
#if LAYERS > 1
    sum += weights.y * layer_at(layer1, bounds[1], places[1]);
#endif
#if LAYERS > 2
    sum += weights.z * layer_at(layer2, bounds[2], places[2]);
#endif
#if LAYERS > 3
    sum += weights.w * layer_at(layer3, bounds[3], places[3]);
#endif
    picture = vec4(sum, 1.0);
}
