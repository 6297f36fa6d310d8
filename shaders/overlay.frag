// Text for technicians: light letters on a dark plate, so that they can be read on any picture.
uniform sampler2D letters;  // coverage, top row first
uniform ivec2 size;
uniform ivec2 corner;

out vec4 coded;

void main()
{
    ivec2 pixel = ivec2(gl_FragCoord.xy) - corner;
    float cover = texelFetch(letters, ivec2(pixel.x, size.y - 1 - pixel.y), 0).r;
    // Alpha goes with the colour already (premultiplied).
    coded = mix(vec4(vec3(0.03), 1.0) * 0.72, vec4(vec3(0.94), 1.0), cover);
}
