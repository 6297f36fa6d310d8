// One axis of a separable resampler. The kernel is a cubic of Keys' family (Mitchell and Netravali, Reconstruction
// Filters in Computer Graphics, 1988, with B + 2C = 1): B = 0 is Catmull-Rom, B = 1 the B-spline. Its variance grows
// with B, so the same kernel upscales, shrinks and blurs, without a pass or a jump between them.
// TAPS: 1 = texel for texel, 4 = kernel of its natural width, 0 = as many as `taps` says.

uniform vec2 place;       // source texel position = place.x + place.y * pixel
uniform int last;         // last texel of the axis
uniform mat4 natural;     // TAPS 4: weights = natural * (1, f, f^2, f^3)
uniform vec4 near;        // TAPS 0: kernel for |t| < 1, coefficients of 1, t, t^2, t^3
uniform vec4 far;         // TAPS 0: kernel for 1 <= |t| < 2
uniform float widen;      // TAPS 0: the kernel is this much wider
uniform int taps;         // TAPS 0
// A shader calls resample_start, then for each tap up to TAP_COUNT resample_add with the texel of resample_index, then
// resample_end. (GLSL has no functions as arguments.)

const float ANTI_RING = 0.85;  // how much of an overshoot past the two nearest texels is taken back

#if TAPS == 4
#define TAP_COUNT 4
#elif TAPS == 0
#define TAP_COUNT taps
#else
#define TAP_COUNT 1
#endif

float position;
int first;
vec4 tap_weights;
vec3 sum, low, high;
float weight_sum;

void resample_start(float pixel)
{
    position = place.x + place.y * pixel - 0.5;
    sum = vec3(0.0);
    low = vec3(1e6);
    high = vec3(-1e6);
    weight_sum = 0.0;
#if TAPS == 1
    first = int(floor(position + 0.5));
#elif TAPS == 4
    first = int(floor(position)) - 1;
    float f = position - floor(position);
    tap_weights = natural * vec4(1.0, f, f * f, f * f * f);
#else
    first = int(ceil(position - 2.0 * widen));
#endif
}

int resample_index(int tap)
{
    return clamp(first + tap, 0, last);
}

void resample_add(vec3 texel, int tap)
{
#if TAPS == 1
    sum = texel;
#elif TAPS == 4
    sum += tap_weights[tap] * texel;
    if (tap == 1 || tap == 2) {
        low = min(low, texel);
        high = max(high, texel);
    }
#else
    float t = abs(float(first + tap) - position) / widen;
    vec4 k = t < 1.0 ? near : far;
    float w = t < 2.0 ? k.x + t * (k.y + t * (k.z + t * k.w)) : 0.0;
    sum += w * texel;
    weight_sum += w;
    if (t < 1.0) {
        low = min(low, texel);
        high = max(high, texel);
    }
#endif
}

vec3 resample_end()
{
#if TAPS == 1
    return sum;
#else
#if TAPS == 0
    sum /= weight_sum;
#endif
    return mix(sum, clamp(sum, low, high), ANTI_RING);
#endif
}
