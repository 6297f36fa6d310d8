// IEC 61966-2-1 (sRGB), piecewise and exact, and the luminance of linear light in its primaries.

vec3 linear_of(vec3 coded)
{
    return mix(pow((coded + 0.055) / 1.055, vec3(2.4)), coded / 12.92, lessThanEqual(coded, vec3(0.04045)));
}

vec3 coded_of(vec3 light)
{
    light = clamp(light, 0.0, 1.0);
    return mix(1.055 * pow(light, vec3(1.0 / 2.4)) - 0.055, light * 12.92, lessThanEqual(light, vec3(0.0031308)));
}

float luminance(vec3 light)
{
    return dot(light, vec3(0.2126, 0.7152, 0.0722));
}
