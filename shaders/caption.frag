// Titles and captions over the linear picture: light letters with a dark outline and a soft shadow, so that they can be
// read on white and on black. Mixed in linear light, where an edge that is half covered gives half the light.
uniform sampler2D plate;  // r: the letters' coverage, g: the outline's and the shadow's; top row first
uniform ivec2 corner;     // of the plate on the picture, from its top left
uniform float level;      // of the operator's fade

out vec4 picture;

const float LETTERS = 0.85;  // of white: full white would be the brightest thing in most films

void main()
{
    vec2 cover = texelFetch(plate, ivec2(gl_FragCoord.xy) - corner, 0).rg;
    // Alpha goes with the colour already (premultiplied).
    picture = vec4(vec3(LETTERS * level) * cover.r, 1.0 - (1.0 - cover.r) * (1.0 - cover.g));
}
