// The human figure of the demo film as a signed distance field.
// Everything that moves comes in the array F (layout: tools/film_body.py); nothing here knows about shots.
// A ray first asks which of a figure's fourteen capsules it can touch (one bit each); only those parts are
// evaluated while it marches, which is what makes the film affordable on a software rasteriser.

const int FN = 112;                 // vec4s per figure
const int PELVIS = 0, CHEST = 3, HEAD = 6, HAND = 9, FOOT = 15;
const int NECK = 21, SHOULDER = 22, ELBOW = 24, WRIST = 26, HIP = 28, KNEE = 30, ANKLE = 32, BALL = 34, TOE = 36;
const int FINGER = 38, CAPS = 78, STYLE = 106, FACE = 107, NECKTOP = 108, BOUND = 109;
const int CAPSULES = 14;

uniform vec4 F[224];
uniform int figures;

vec3 local(int i, vec3 p) {
    vec4 a = F[i], b = F[i + 1], c = F[i + 2];
    p -= vec3(a.w, b.w, c.w);
    return vec3(dot(a.xyz, p), dot(b.xyz, p), dot(c.xyz, p));
}

// Capsule whose radius changes along its length; not an exact distance, but close for the gentle tapers of limbs.
float taper(vec3 p, vec3 a, vec3 b, float ra, float rb) {
    vec3 pa = p - a, ba = b - a;
    float h = clamp(dot(pa, ba) / dot(ba, ba), 0.0, 1.0);
    return length(pa - ba * h) - mix(ra, rb, h);
}

float along(vec3 p, vec3 a, vec3 b) {
    vec3 ba = b - a;
    return clamp(dot(p - a, ba) / dot(ba, ba), 0.0, 1.0);
}

float egg(vec3 p, vec3 r) {
    float far = length(p / r);
    return far * (far - 1.0) / max(length(p / (r * r)), 1e-4);
}

float join(float a, float b, float k) {
    float h = max(k - abs(a - b), 0.0);
    return min(a, b) - h * h / (4.0 * k);
}

float carve(float a, float b, float k) {
    float h = max(k - abs(a - b), 0.0);
    return max(a, b) + h * h / (4.0 * k);
}

bool has(int mask, int bit) { return (mask & (1 << bit)) != 0; }

// x: skin, y: hair. Head space: metres, x to the figure's left, y up, z forward, origin between the ears.
vec2 head(int o, vec3 p) {
    vec4 style = F[o + STYLE], face = F[o + FACE];
    bool woman = style.x > 1.5;
    float s = style.y;
    vec3 h = local(o + HEAD, p) / s;
    vec3 q = vec3(abs(h.x), h.yz);
    float open = face.y, smile = face.z;
    vec3 low = F[o + NECK].xyz, top = F[o + NECKTOP].xyz;
    float neck = taper(p, low, top, woman ? 0.048 : 0.058, woman ? 0.043 : 0.054);

    // Far from the head its features do not matter: a plain ball is a safe step there.
    float coarse = min((length(h - vec3(0.0, 0.01, 0.0)) - 0.150) * s, neck - 0.01);
    if (coarse > 0.025) return vec2(coarse);

    float d = egg(h - vec3(0.0, 0.036, -0.018), vec3(0.076, 0.090, 0.097));
    d = join(d, egg(h - vec3(0.0, -0.020, 0.024), vec3(0.061, 0.090, 0.070)), 0.03);
    vec3 drop = vec3(0.0, -0.75 * open, -0.25 * open);
    float jaw = woman ? 0.016 : 0.020;
    d = join(d, taper(q, vec3(0.045, -0.050, 0.004), vec3(0.013, -0.099, 0.067) + drop, jaw, jaw), 0.035);
    d = join(d, length(h - vec3(0.0, -0.1, 0.077) - drop) - 0.0165, 0.02);
    d = join(d, taper(q, vec3(0.050, -0.008, 0.050), vec3(0.030, -0.022, 0.073), 0.014, 0.012), 0.025);
    d = join(d, taper(q, vec3(0.010, 0.027, 0.0855), vec3(0.046, 0.026, 0.066), 0.0085, 0.008), woman ? 0.03 : 0.018);
    d = carve(d, -egg(q - vec3(0.032, 0.006, 0.099), vec3(0.021, 0.0125, 0.019)), 0.016);

    // nose
    d = join(d, taper(h, vec3(0.0, 0.024, 0.088), vec3(0.0, -0.029, 0.1125), 0.0068, 0.0092), 0.014);
    d = join(d, taper(q, vec3(0.0, -0.0335, 0.1095), vec3(0.0125, -0.0365, 0.0965), 0.0088, 0.0072), 0.006);
    d = carve(d, -(length(q - vec3(0.0062, -0.0432, 0.1045)) - 0.0036), 0.004);

    // mouth
    d = join(d, egg(h - vec3(0.0, -0.066, 0.077), vec3(0.031, 0.026, 0.021)), 0.02);
    vec3 corner = vec3(0.0262 + 0.004 * smile, -0.0668 + 0.006 * smile - 0.3 * open, 0.0840 - 0.002 * smile);
    float lips = taper(q, vec3(0.0, -0.0612, 0.0978), corner, 0.0046, 0.0020);
    lips = min(lips, taper(q, vec3(0.0, -0.0725 - open, 0.0975 - 0.2 * open), corner, 0.0056, 0.0020));
    d = join(d, lips, 0.006);
    float gap = taper(q, vec3(0.0, -0.0666 - 0.5 * open, 0.103), corner + vec3(0.0, 0.0, 0.003), 0.0010 + 0.42 * open, 0.0008);
    d = carve(d, -gap, 0.003);

    // eyeballs and lids: face.x is how far the lids are closed
    vec3 e = q - vec3(0.0315, 0.006, 0.0765);
    float ball = length(e);
    float upper = mix(0.0050, -0.0062, face.x), lower = -0.0058;
    float lid = ball - 0.0143;
    lid = min(carve(lid, upper - e.y + 0.1 * abs(e.x), 0.0015), carve(lid, e.y - lower, 0.0015));
    d = join(d, lid, 0.005);
    d = min(d, ball - 0.0126);

    // ears
    vec3 r = q - vec3(0.0765, -0.002, -0.012);
    r.xz = mat2(0.92, 0.39, -0.39, 0.92) * r.xz;
    r.yz = mat2(0.98, -0.17, 0.17, 0.98) * r.yz;
    float ear = egg(r, vec3(0.0095, 0.032, 0.0195));
    ear = carve(ear, -egg(r - vec3(0.0085, 0.003, 0.002), vec3(0.0065, 0.021, 0.0115)), 0.005);
    d = join(d, ear, 0.007);

    // hair: a shell over the skull, kept above a hairline that falls from brow to nape
    float hair;
    if (woman) {
        hair = egg(h - vec3(0.0, 0.036, -0.022), vec3(0.092, 0.104, 0.110));
        hair = join(hair, egg(h - vec3(0.0, -0.035, -0.028), vec3(0.098, 0.085, 0.090)), 0.04);
        float line = mix(-0.098, 0.056 + 0.10 * q.x, smoothstep(0.020, 0.046, h.z - 0.10 * q.x));
        hair = carve(hair, line - h.y, 0.012);
    } else {
        hair = egg(h - vec3(0.0, 0.040, -0.022), vec3(0.0815, 0.0945, 0.1015));
        hair = join(hair, egg(h - vec3(-0.006, 0.108, 0.036), vec3(0.058, 0.026, 0.046)), 0.03);
        float line = mix(-0.068, -0.012, smoothstep(-0.060, -0.028, h.z));
        line = mix(line, 0.076 + 0.12 * h.x * step(0.0, h.x), smoothstep(0.022, 0.044, h.z));
        hair = carve(hair, line - h.y, 0.010);
    }
    hair += 0.0009 * sin(220.0 * h.x + 9.0 * sin(28.0 * h.z + 12.0 * h.y));
    if (!woman) neck -= 0.007 * (1.0 - smoothstep(0.44, 0.50, along(p, low, top)));      // collar
    return vec2(join(d * s, neck, 0.03), hair * s * (woman ? 0.62 : 0.85));
}

float hand(int o, int side, vec3 p) {
    int base = o + FINGER + 20 * side;
    vec4 a = F[o + HAND + 3 * side], b = F[o + HAND + 3 * side + 1], c = F[o + HAND + 3 * side + 2];
    vec3 w = vec3(a.w, b.w, c.w);
    vec3 axis = vec3(a.y, b.y, c.y);
    float coarse = taper(p, w + axis * 0.02, w + axis * 0.10, 0.100, 0.105);
    if (coarse > 0.02) return coarse;
    float d = 1e3;
    for (int f = 0; f < 5; f++) {
        vec4 j0 = F[base], j1 = F[base + 1], j2 = F[base + 2], j3 = F[base + 3];
        float finger = taper(p, j0.xyz, j1.xyz, j0.w, j1.w);
        finger = join(finger, taper(p, j1.xyz, j2.xyz, j1.w, j2.w), 0.003);
        finger = join(finger, taper(p, j2.xyz, j3.xyz, j2.w, j3.w), 0.003);
        float palm = f == 0 ? taper(p, w, j0.xyz, 0.021, j0.w + 0.004) : taper(p, w, j0.xyz, 0.020, j0.w + 0.0025);
        finger = join(finger, palm, 0.006);
        d = d > 1e2 ? finger : join(d, finger, 0.0075);
        base += 4;
    }
    return d;
}

float torso(int o, vec3 p) {
    float kind = F[o + STYLE].x;
    vec3 c = local(o + CHEST, p), b = local(o + PELVIS, p);
    vec3 q = vec3(abs(c.x), c.yz);
    float d;
    if (kind > 1.5) {
        d = egg(c - vec3(0.0, 0.02, -0.004), vec3(0.126, 0.195, 0.094));
        d = join(d, taper(q, vec3(0.0, 0.165, -0.018), vec3(0.132, 0.150, -0.014), 0.050, 0.042), 0.05);
        d = join(d, taper(q, vec3(0.02, 0.22, -0.022), vec3(0.10, 0.175, -0.018), 0.030, 0.026), 0.04);
        d = join(d, egg(q - vec3(0.060, 0.025, 0.068), vec3(0.052, 0.056, 0.044)), 0.06);
        d = join(d, egg(b - vec3(0.0, 0.17, 0.004), vec3(0.106, 0.13, 0.080)), 0.07);
        d = join(d, egg(b - vec3(0.0, 0.025, -0.008), vec3(0.150, 0.13, 0.112)), 0.10);
        return d;
    }
    bool jacket = kind < 0.5;
    d = egg(c - vec3(0.0, 0.02, 0.0), jacket ? vec3(0.158, 0.215, 0.116) : vec3(0.152, 0.21, 0.108));
    d = join(d, taper(q, vec3(0.0, 0.165, -0.022), vec3(0.144, 0.146, -0.014), 0.062, jacket ? 0.055 : 0.050), 0.06);
    d = join(d, taper(q, vec3(0.03, 0.225, -0.026), vec3(0.12, 0.178, -0.02), 0.038, 0.032), 0.05);
    d = join(d, egg(b - vec3(0.0, 0.14, 0.006), jacket ? vec3(0.138, 0.17, 0.108) : vec3(0.132, 0.16, 0.100)), 0.08);
    vec3 e = b * vec3(1.0, 1.0, 1.38);
    if (jacket) {
        float skirt = taper(e, vec3(0.0, 0.10, 0.0), vec3(0.0, -0.10, 0.0), 0.140, 0.172) * 0.76;
        d = join(d, carve(skirt, -0.135 - b.y, 0.012), 0.06);
        float v = (c.y + 0.10) * 0.24 - q.x;
        d -= 0.008 * smoothstep(-0.002, 0.008, -v) * step(0.0, c.z);
    } else {
        d = join(d, taper(e, vec3(0.0, 0.06, 0.0), vec3(0.0, -0.04, 0.0), 0.136, 0.150) * 0.76, 0.05);
    }
    return d;
}

float shoe(int o, int side, vec3 p, bool woman) {
    vec3 f = local(o + FOOT + 3 * side, p);
    vec3 ball = F[o + BALL + side].xyz, toe = F[o + TOE + side].xyz;
    float wide = woman ? 0.84 : 1.0;
    float d = taper(f, vec3(0.0, -0.043, -0.038), vec3(0.0, -0.050, 0.105), 0.039 * wide, 0.041 * wide);
    if (!woman) d = join(d, taper(f, vec3(0.0, 0.0, 0.0), vec3(0.0, -0.02, 0.05), 0.043, 0.036), 0.03);
    d = carve(d, -0.086 - f.y, 0.006);
    float front = taper(p, ball + vec3(0.0, 0.002, 0.0), toe, 0.040 * wide, 0.027 * wide);
    d = join(d, front, 0.02);
    float sole = max(abs(f.y + 0.080) - 0.007, taper(vec3(f.x, 0.0, f.z), vec3(0.0, 0.0, -0.04), vec3(0.0, 0.0, 0.10), 0.041 * wide, 0.043 * wide));
    return min(d, sole);
}

// Distances to cloth, skin, hair and shoe of one figure.
vec4 parts(int o, vec3 p, int m) {
    float kind = F[o + STYLE].x;
    bool woman = kind > 1.5;
    float cloth = 1e3, skin = 1e3, hair = 1e3, leather = 1e3;
    if (has(m, 0)) {
        vec2 h = head(o, p);
        skin = h.x;
        hair = h.y;
    }
    if (has(m, 1)) cloth = torso(o, p);
    for (int s = 0; s < 2; s++) {
        bool up = has(m, 2 + s), fore = has(m, 4 + s);
        if (up || fore) {
            vec3 a = F[o + SHOULDER + s].xyz, b = F[o + ELBOW + s].xyz, c = F[o + WRIST + s].xyz;
            float wide = kind < 0.5 ? 1.0 : (woman ? 0.66 : 0.94);
            float arm = 1e3;
            if (up) arm = taper(p, a, b, 0.058 * wide, 0.048 * wide);
            if (fore) arm = join(arm, taper(p, b, c, 0.048 * wide, (woman ? 0.034 : 0.035) * wide), 0.014);
            float k = mix(0.05, 0.004, smoothstep(0.05, 0.20, length(p - a)));
            if (woman) skin = join(skin, arm, 0.01);
            else cloth = join(cloth, arm, k);
        }
        if (has(m, 6 + s)) skin = woman ? join(skin, hand(o, s, p), 0.012) : min(skin, hand(o, s, p));
        bool thigh = has(m, 8 + s), shin = has(m, 10 + s);
        if (thigh || shin) {
            vec3 a = F[o + HIP + s].xyz, b = F[o + KNEE + s].xyz, c = F[o + ANKLE + s].xyz;
            if (woman) {
                float leg = 1e3;
                if (thigh) leg = taper(p, a, b, 0.085, 0.050);
                if (shin) {
                    vec3 pa = p - b, ba = c - b;
                    float h = clamp(dot(pa, ba) / dot(ba, ba), 0.0, 1.0);
                    float swell = h * (1.0 - h) * (1.0 - h);
                    leg = join(leg, length(pa - ba * h) - mix(0.048, 0.033, h) - 0.06 * swell, 0.02);
                }
                skin = min(skin, leg);
                if (thigh) {
                    vec3 hem = mix(a, b, 0.80), down = normalize(b - a);
                    float skirt = taper(p, a, hem, 0.096, 0.120);
                    skirt = carve(skirt, dot(p - mix(a, b, 0.86), down), 0.01);
                    cloth = join(cloth, skirt, 0.13);
                }
            } else {
                float leg = 1e3;
                if (thigh) leg = taper(p, a, b, 0.098, 0.070);
                if (shin) leg = join(leg, taper(p, b, c, 0.070, 0.062), 0.035);
                float k = mix(0.09, 0.006, smoothstep(0.05, 0.26, length(p - a)));
                cloth = join(cloth, leg, k);
            }
        }
        if (has(m, 12 + s)) leather = min(leather, shoe(o, s, p, woman));
    }
    return vec4(cloth, skin, hair, leather);
}
