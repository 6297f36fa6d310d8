// The white room of the demo film: camera, figures and table marched, lit and exposed. Output: display-linear grey.
// film_figure.glsl is put in front of this file; SECOND_PASS adds the second look at the pixels where edges are.

uniform vec3 eye;
uniform mat3 camera;        // columns: right, up, forward
uniform float focal;        // half picture heights per unit of distance: 1 / tan(fov / 2)
uniform vec2 size;
uniform vec3 sun;           // towards the key light
uniform vec4 light;         // key, sky, exposure, penumbra (larger is harder)
uniform vec4 room;          // backdrop at the horizon, backdrop above, floor, vignette
uniform int props;          // 1: the table is laid
uniform vec4 fork;          // tip of the fork
uniform vec4 forkend;
// Three passes. COARSE: one ray for BLOCK x BLOCK pixels finds how far all of them can go unhindered (and which meet
// nothing at all). FIRST: one sample a pixel from there on. SECOND: two more samples where the first pass shows an edge.
#define BLOCK 4
uniform sampler2D coarse;
uniform sampler2D first;
out vec4 colour;

const vec3 TABLE = vec3(0.0, 0.735, 0.72);      // centre of the table top

float box(vec3 p, vec3 half_size, float r) {
    vec3 q = abs(p) - half_size + r;
    return length(max(q, 0.0)) + min(max(q.x, max(q.y, q.z)), 0.0) - r;
}

// x: white cloth and china, y: wood, z: metal and glass
vec3 table(vec3 p) {
    vec3 t = p - TABLE;
    float fall = 0.006 * sin(26.0 * t.x + 3.0 * sin(5.0 * t.z)) * sin(21.0 * t.z) * smoothstep(0.0, -0.10, t.y);
    float white = box(t + vec3(0.0, 0.05, 0.0), vec3(0.52, 0.06, 0.36) + fall, 0.014);
    float rim = length(t.xz - vec2(0.0, -0.14));
    white = min(white, 0.8 * max(abs(t.y - 0.019 - 0.018 * smoothstep(0.075, 0.125, rim)) - 0.0045, rim - 0.128));
    float wood = 1e3;
    for (int i = 0; i < 4; i++) {
        vec2 s = vec2((i & 1) == 0 ? -1.0 : 1.0, (i & 2) == 0 ? -1.0 : 1.0);
        wood = min(wood, taper(t, vec3(0.46 * s.x, -0.2, 0.30 * s.y), vec3(0.47 * s.x, -0.735, 0.31 * s.y), 0.024, 0.016));
        wood = min(wood, taper(p, vec3(0.18 * s.x, 0.44, -0.03 + 0.20 * s.y), vec3(0.20 * s.x, 0.0, -0.03 + 0.23 * s.y), 0.020, 0.014));
    }
    wood = min(wood, box(p - vec3(0.0, 0.445, -0.03), vec3(0.215, 0.022, 0.225), 0.02));
    vec3 back = p - vec3(0.0, 0.70, -0.255);
    back.z += 0.16 * (back.y);
    back.z += 0.5 * back.x * back.x;
    wood = min(wood, 0.85 * max(box(back - vec3(0.0, 0.12, 0.0), vec3(0.20, 0.085, 0.012), 0.012), -1.0));
    wood = min(wood, 0.85 * box(vec3(abs(back.x) - 0.17, back.y + 0.06, back.z), vec3(0.016, 0.20, 0.014), 0.01));
    float metal = taper(p, fork.xyz, forkend.xyz, 0.0042, 0.0048);
    vec3 g = t - vec3(-0.27, 0.085, 0.02);
    float glass = max(abs(length(g.xz) - 0.034 - 0.06 * g.y) - 0.003, abs(g.y) - 0.085);
    return vec3(white, wood, min(metal, glass));
}

// Three samples a pixel: a different third of it in x, in y and in x + y, so that no edge direction is left with steps.
const vec2 FIRST = vec2(-0.33, 0.0), SECOND = vec2(0.0, 0.33), THIRD = vec2(0.33, -0.33);

struct Ray { vec3 o, d; int m0, m1; bool laid; float near, far; };

// Nearest approach of the ray to one bounding capsule, and the stretch of the ray that can see it.
bool meets(vec3 o, vec3 d, vec3 a, vec3 b, float r, float spread, inout float near, inout float far) {
    vec3 ab = b - a, ao = o - a;
    float dd = dot(ab, d), l2 = dot(ab, ab), oab = dot(ao, ab), od = dot(ao, d);
    float det = l2 - dd * dd;
    float v = det > 1e-6 ? clamp((oab - od * dd) / det, 0.0, 1.0) : 0.5;
    float u = max(dot(a + ab * v - o, d), 0.0);
    v = l2 > 1e-8 ? clamp(dot(o + d * u - a, ab) / l2, 0.0, 1.0) : 0.0;
    if (length(o + d * u - a - ab * v) > r + spread * u) return false;
    float pa = -od, pb = dot(b - o, d);
    near = min(near, min(pa, pb) - r);
    far = max(far, max(pa, pb) + r);
    return true;
}

void aim(inout Ray ray, float spread) {
    ray.m0 = 0;
    ray.m1 = 0;
    ray.near = 1e3;
    ray.far = 0.0;
    for (int f = 0; f < figures; f++) {
        int o = f * FN, m = 0;
        vec4 bound = F[o + BOUND];
        vec3 to = bound.xyz - ray.o;
        float t = max(dot(to, ray.d), 0.0);
        if (length(to - ray.d * t) > bound.w + spread * t) continue;
        for (int i = 0; i < CAPSULES; i++) {
            vec4 a = F[o + CAPS + 2 * i];
            if (meets(ray.o, ray.d, a.xyz, F[o + CAPS + 2 * i + 1].xyz, a.w, spread, ray.near, ray.far)) m |= 1 << i;
        }
        if (f == 0) ray.m0 = m; else ray.m1 = m;
    }
    ray.laid = props != 0 && meets(ray.o, ray.d, vec3(0.0, 0.45, -0.1), vec3(0.0, 0.45, 0.75), 0.75, spread, ray.near, ray.far);
    ray.near = max(ray.near, 0.0);
}

float scene(vec3 p, Ray ray) {
    float d = 1e3;
    for (int f = 0; f < figures; f++) {
        int m = f == 0 ? ray.m0 : ray.m1;
        if (m != 0) {
            vec4 v = parts(f * FN, p, m);
            d = min(d, min(min(v.x, v.y), min(v.z, v.w)));
        }
    }
    if (ray.laid) {
        vec3 v = table(p);
        d = min(d, min(v.x, min(v.y, v.z)));
    }
    return d;
}

// Light from the whole white room that the floor point still receives, from capsules: no marching.
vec2 under(vec3 p) {
    float open = 1.0, lit = 1.0;
    for (int f = 0; f < figures; f++) {
        int o = f * FN;
        vec4 bound = F[o + BOUND];
        if (length(p - bound.xyz) > 3.5 * bound.w + 1.0) continue;
        for (int i = 0; i < CAPSULES; i++) {
            vec4 av = F[o + CAPS + 2 * i], bv = F[o + CAPS + 2 * i + 1];
            vec3 a = av.xyz, ab = bv.xyz - a;
            float r = bv.w;
            vec3 to = a + ab * clamp(dot(p - a, ab) / max(dot(ab, ab), 1e-6), 0.0, 1.0) - p;
            float l2 = max(dot(to, to), r * r);
            open *= 1.0 - 0.72 * clamp(to.y * inversesqrt(l2) + 0.15, 0.0, 1.0) * r * r / l2;
            // closest approach of the shadow ray to the capsule's axis
            float dd = dot(ab, sun), bb = dot(ab, ab), oa = dot(p - a, ab), od = dot(p - a, sun);
            float det = bb - dd * dd;
            float v = det > 1e-6 ? clamp((oa - od * dd) / det, 0.0, 1.0) : 0.5;
            vec3 q = a + ab * v - p;
            float u = max(dot(q, sun), 0.02);
            float gap = (length(q - sun * u) - r) / u;
            lit = min(lit, smoothstep(-0.5, 0.5, gap * light.w + 0.15));
        }
    }
    if (props != 0) {
        vec3 t = p - vec3(TABLE.x, 0.0, TABLE.z);
        float e = box(vec3(t.x, t.z, 0.0), vec3(0.52, 0.36, 1.0), 0.05);
        open *= mix(0.38, 1.0, smoothstep(-0.30, 0.5, e));
        vec3 s = p + sun * (0.56 / sun.y) - vec3(TABLE.x, 0.56, TABLE.z);
        lit = min(lit, smoothstep(-0.10, 0.16, box(vec3(s.x, s.z, 0.0), vec3(0.52, 0.36, 1.0), 0.05)));
        e = box(vec3(p.x, p.z + 0.03, 0.0), vec3(0.2, 0.2, 1.0), 0.05);
        open *= mix(0.55, 1.0, smoothstep(-0.2, 0.3, e));
    }
    return vec2(open, lit);
}

float wall(vec3 d) {
    return mix(room.x, room.y, smoothstep(0.02, 0.75, d.y));
}

float hash(vec3 p) {
    p = fract(p * vec3(0.1031, 0.11369, 0.13787));
    p += dot(p, p.yzx + 19.19);
    return fract((p.x + p.y) * p.z);
}

// What the surface is made of. x: albedo, y: shine, z: sharpness of the shine, w: 1 skin, 2 cloth, 3 hair, 0 other
vec4 stuff(vec3 p, inout vec3 n, vec3 rd, Ray ray, float footprint) {
    int best = 0;
    vec4 v = vec4(1e3);
    for (int f = 0; f < figures; f++) {
        int m = f == 0 ? ray.m0 : ray.m1;
        if (m == 0) continue;
        vec4 w = parts(f * FN, p, m);
        if (min(min(w.x, w.y), min(w.z, w.w)) < min(min(v.x, v.y), min(v.z, v.w))) {
            v = w;
            best = f;
        }
    }
    float d = min(min(v.x, v.y), min(v.z, v.w));
    if (ray.laid) {
        vec3 t = table(p);
        if (min(t.x, min(t.y, t.z)) < d) {
            if (t.x < min(t.y, t.z)) {
                bool china = p.y > TABLE.y + 0.0125;
                return vec4(china ? 0.88 : 0.80, china ? 0.35 : 0.0, 60.0, china ? 0.0 : 2.0);
            }
            return t.y < t.z ? vec4(0.075, 0.12, 24.0, 0.0) : vec4(0.52, 0.9, 50.0, 0.0);
        }
    }
    int o = best * FN;
    vec4 style = F[o + STYLE], face = F[o + FACE];
    bool woman = style.x > 1.5, jacket = style.x < 0.5;
    vec3 c = local(o + CHEST, p), b = local(o + PELVIS, p), h = local(o + HEAD, p) / style.y;
    vec3 q = vec3(abs(h.x), h.yz);
    float fine = 1.0 - smoothstep(0.004, 0.012, footprint);

    if (d == v.w) return vec4(woman ? 0.05 : 0.018, 0.5, 40.0, 0.0);
    if (d == v.z) {
        float strand = hash(floor(vec3(h.x * 260.0, 0.0, 0.0))) - 0.5;
        n = normalize(n + fine * 0.22 * strand * vec3(F[o + HEAD].x, F[o + HEAD].y, F[o + HEAD].z));
        return vec4(woman ? 0.030 : 0.024, 0.34, 14.0, 3.0);
    }
    if (d == v.y) {
        vec3 neck = F[o + NECK].xyz;
        float albedo = woman ? 0.50 : 0.40;
        if (length(h) > 0.22 || q.z < -0.02 && h.y < -0.14) {
            // hands, woman's arms and legs, neck
            if (!woman && length(h) < 0.3 && along(p, neck, F[o + NECKTOP].xyz) < 0.47) return vec4(0.74, 0.03, 9.0, 2.0);
            return vec4(albedo, 0.10, 18.0, 1.0);
        }
        // eye
        vec3 e = q - vec3(0.0315, 0.006, 0.0765);
        if (length(e) < 0.0137 && e.z > 0.0) {
            vec3 g = normalize(vec3(face.w * sign(h.x), style.w, 1.0));
            vec3 u = normalize(e);
            float a = length(u - g);
            float iris = smoothstep(0.50, 0.44, a), pupil = smoothstep(0.24, 0.19, a);
            float shade = mix(0.35, 1.0, smoothstep(0.0065, 0.0, abs(e.y - 0.0)) * smoothstep(0.013, 0.006, abs(e.x)));
            return vec4(mix(mix(0.70, 0.12, iris), 0.01, pupil) * shade, 0.95, 160.0, 0.0);
        }
        if (h.z > 0.02) {
            albedo *= mix(0.12, 1.0, smoothstep(0.0036, 0.0052, length((q - vec3(0.0062, -0.0432, 0.1045)) * vec3(1.0, 1.0, 0.7))));
            // brows, lashes, lips
            float arch = h.y - (0.0285 + 0.006 * face.z * 0.0 + style.z * 0.006 - 9.0 * pow(q.x - 0.034, 2.0) * (q.x > 0.034 ? 1.0 : 0.35));
            float brow = smoothstep(woman ? 0.0032 : 0.0048, 0.0012, abs(arch)) * smoothstep(0.010, 0.015, q.x) * smoothstep(0.056, 0.046, q.x);
            albedo *= 1.0 - (woman ? 0.75 : 0.78) * brow * step(0.0, h.z - 0.03);
            float ring = abs(length(e.xy * vec2(0.82, 1.0) - vec2(0.0, 0.0)) - 0.0105);
            float upper = mix(0.0050, -0.0062, face.x);
            float lash = smoothstep(0.0022, 0.0006, abs(e.y - upper + 0.1 * abs(e.x) - 0.0006)) * smoothstep(0.0165, 0.012, abs(e.x));
            albedo *= 1.0 - (woman ? 0.85 : 0.62) * lash;
            albedo *= 1.0 - 0.16 * smoothstep(0.020, 0.008, length(e.xy * vec2(0.8, 1.0)));
            vec2 lip = vec2(q.x, h.y + 0.0668 + 0.35 * face.y);
            lip.y -= 0.006 * face.z * smoothstep(0.01, 0.024, q.x);
            float width = 0.0235 + 0.004 * face.z;
            float mouth = smoothstep(1.06, 0.90, length(lip / vec2(width, 0.0108 + 0.55 * face.y)));
            albedo *= 1.0 - (woman ? 0.55 : 0.30) * mouth * step(0.05, h.z);
            albedo *= 1.0 - 0.75 * smoothstep(0.0017, 0.0005, abs(lip.y - 0.0008)) * smoothstep(width, 0.8 * width, q.x) * step(0.05, h.z);
            if (!woman) albedo *= 1.0 - 0.07 * smoothstep(-0.04, -0.07, h.y);
        }
        return vec4(albedo, 0.16, 16.0, 1.0);
    }
    // cloth: which garment
    float suit = 0.030;
    float albedo = suit;
    float white = 0.74;
    vec3 neck = F[o + NECK].xyz;
    if (woman) {
        albedo = style.x > 2.5 ? 0.030 : 0.70;
        float scoop = c.z > 0.0 ? 0.105 + 2.6 * c.x * c.x : 0.185;
        if (c.y > scoop && length(c) < 0.4) return vec4(0.50, 0.10, 18.0, 1.0);
    }
    else {
        bool sleeve = false;
        for (int s = 0; s < 2; s++) {
            vec3 sa = F[o + SHOULDER + s].xyz, ea = F[o + ELBOW + s].xyz, wa = F[o + WRIST + s].xyz;
            sleeve = sleeve || min(taper(p, sa, ea, 0.056, 0.050), taper(p, ea, wa, 0.050, 0.038)) < 0.004;
        }
        bool below = b.y < 0.085 && !sleeve;
        float v0 = (c.y + 0.10) * 0.24 - abs(c.x);
        if (jacket) {
            if (c.z > 0.0 && c.y > -0.10 && v0 > 0.0) {
                albedo = white;
                float tie = 0.020 + 0.028 * smoothstep(0.17, -0.08, c.y) * 0.6;
                if (abs(c.x) < tie) albedo = 0.02;
            } else if (c.z > 0.0 && c.y > -0.10) {
                // satin lapel
                float lapel = smoothstep(0.052, 0.048, -v0) * step(-0.04, c.y);
                albedo = mix(suit, 0.046, lapel);
            }
        } else if (!below) {
            albedo = white;
            if (!sleeve && abs(c.x) < 0.020 + 0.017 * smoothstep(0.17, -0.20, c.y) && c.z > 0.0 && length(c) < 0.4) albedo = 0.02;
        } else if (b.y > 0.055) albedo = 0.012;
    }
    // folds: waves across the limbs, strongest at the bends
    float wave = 0.0;
    vec3 axis = vec3(0.0, 1.0, 0.0);
    for (int s = 0; s < 2; s++) {
        vec3 ea = F[o + ELBOW + s].xyz, wa = F[o + WRIST + s].xyz, sa = F[o + SHOULDER + s].xyz;
        float de = length(p - ea);
        float hf = along(p, ea, wa);
        if (de < 0.30 && length(p - mix(ea, wa, hf)) < 0.075) {
            if (jacket && hf > 0.965) albedo = white;
            axis = normalize(wa - sa);
            wave += sin(105.0 * dot(p - ea, axis) + 26.0 * dot(p - ea, F[o + CHEST].xyz)) * smoothstep(0.16, 0.02, de);
        } else if (length(p - mix(sa, ea, along(p, sa, ea))) < 0.08) {
            if (!woman) wave += 0.35 * sin(60.0 * dot(p - sa, normalize(ea - sa)) + 30.0 * c.z) * smoothstep(0.05, 0.16, length(p - sa));
        }
        if (!woman) {
            vec3 ka = F[o + KNEE + s].xyz, aa = F[o + ANKLE + s].xyz;
            float dk = length(p - ka), da = length(p - aa);
            if (dk < 0.3) {
                axis = vec3(0.0, 1.0, 0.0);
                wave += 0.8 * sin(62.0 * dot(p - ka, normalize(aa - F[o + HIP + s].xyz)) + 22.0 * c.x) * smoothstep(0.17, 0.02, dk);
            }
            if (da < 0.2) wave += 0.5 * sin(75.0 * dot(p - aa, normalize(aa - ka)) + 18.0 * b.x) * smoothstep(0.16, 0.03, da);
        } else if (b.y < -0.05) wave += 0.5 * sin(70.0 * b.x + 14.0 * b.z) * smoothstep(-0.05, -0.3, b.y);
    }
    if (!jacket && !woman && b.y > 0.07) wave += 0.5 * sin(44.0 * b.y + 30.0 * b.x) * smoothstep(0.30, 0.10, b.y);
    n = normalize(n + fine * 0.20 * wave * (albedo > 0.3 ? 0.8 : 1.0) * axis);
    return vec4(albedo, albedo > 0.3 ? 0.03 : 0.10, 9.0, 2.0);
}

float film(float x) {
    // the S of a print: toe and shoulder, white held just under full
    x *= light.z;
    float y = x * (0.07 + x) / (x * (0.80 + x) + 0.17);
    return clamp(y, 0.0, 1.0);
}

Ray ray_at(vec2 pixel, float spread) {
    Ray ray;
    ray.o = eye;
    ray.d = normalize(camera * vec3((2.0 * pixel - size) / size.y, focal));
    aim(ray, spread);
    return ray;
}

// Distance along the middle ray of a block that every ray of the block may go without meeting anything; 1000: nothing there.
float clear_way(vec2 pixel) {
    float spread = 0.76 * float(BLOCK) * 2.0 / (size.y * focal);
    Ray ray = ray_at(pixel, spread);
    if ((ray.m0 | ray.m1) == 0 && !ray.laid) return 1000.0;
    float t = ray.near;
    for (int i = 0; i < 40; i++) {
        float d = scene(ray.o + ray.d * t, ray);
        if (d < 1.1 * spread * t + 0.002) break;
        t += 0.9 * (d - spread * t);
        if (t > ray.far) return 1000.0;
    }
    return t;
}

float look(vec2 pixel, float start, out float depth) {
    vec2 s = (2.0 * pixel - size) / size.y;
    Ray ray;
    ray.o = eye;
    ray.d = normalize(camera * vec3(s, focal));
    ray.m0 = ray.m1 = 0;
    ray.laid = false;
    ray.near = ray.far = 0.0;
    if (start < 999.0) aim(ray, 0.0);
    float footprint = 2.0 / (size.y * focal);
    float ground = ray.d.y < -1e-4 ? -eye.y / ray.d.y : 1e3;
    float value;
    if (ground < 1e3) {
        vec3 p = eye + ray.d * ground;
        vec2 got = under(p);
        float white = room.z * (light.y * got.x + light.x * max(sun.y, 0.0) * mix(0.35 + 0.65 * got.y, 1.0, 0.15)) / (light.y + light.x * max(sun.y, 0.0));
        value = mix(white, room.x, smoothstep(4.0, 16.0, ground));
    } else value = wall(ray.d);
    depth = min(ground, 50.0);

    if ((ray.m0 | ray.m1) != 0 || ray.laid) {
        float t = max(ray.near, start), far = min(ray.far, ground), d = 1.0;
        bool hit = false;
        for (int i = 0; i < 64; i++) {
            d = scene(ray.o + ray.d * t, ray);
            if (d < 0.35 * footprint * t) { hit = true; break; }
            t += d * 0.92;
            if (t > far) break;
        }
        if (hit || (t <= far && d < 5.0 * footprint * t)) {
            depth = t;
            vec3 p = ray.o + ray.d * t;
            vec3 n = vec3(0.0);
            float eps = max(0.0004, 0.5 * footprint * t);
            for (int i = 0; i < 4; i++) {
                vec3 e = vec3((i & 1) == 0 ? 1.0 : -1.0, i < 2 ? 1.0 : -1.0, (i == 0 || i == 3) ? 1.0 : -1.0);
                n += e * scene(p + e * eps, ray);
            }
            n = normalize(n);
            vec3 flat_n = n;
            vec4 what = stuff(p, n, ray.d, ray, footprint * t);

            // openness to the room
            float open = 1.0;
            for (int i = 1; i < 4; i++) {
                float r = 0.018 * float(i * i);
                open -= (r - scene(p + flat_n * r, ray)) * 0.42 / (r * float(i));
            }
            open = clamp(open, 0.12, 1.0);
            open *= 0.55 + 0.45 * smoothstep(-0.1, 0.5, p.y + 0.3 * n.y + 0.15);

            // key light and its soft shadow
            float facing = dot(n, sun);
            float lit = 1.0;
            if (facing > -0.3) {
                Ray up;
                up.o = p + flat_n * 0.012;
                up.d = sun;
                aim(up, 0.0);
                if ((up.m0 | up.m1) != 0 || up.laid) {
                    float u = 0.012;
                    for (int i = 0; i < 18; i++) {
                        float g = scene(up.o + sun * u, up);
                        lit = min(lit, 0.5 + 0.5 * g * light.w * 0.9 / u);
                        if (lit <= 0.0 || u > min(up.far, 0.9)) break;
                        u += clamp(0.75 * g, 0.012, 0.12);
                    }
                    lit = clamp(lit, 0.0, 1.0);
                    lit = lit * lit * (3.0 - 2.0 * lit);
                }
            }
            bool skin = what.w == 1.0;
            float wrap = skin ? 0.28 : (what.w == 2.0 ? 0.16 : 0.05);
            float direct = max((facing + wrap) / (1.0 + wrap), 0.0) * mix(lit, 1.0, skin ? 0.08 : 0.0);
            float bounce = mix(room.z * 0.80, 0.5 * (room.x + room.y) + 0.12, n.y * 0.5 + 0.5);
            float side = mix(0.72, 1.0, 0.5 + 0.5 * dot(n, normalize(vec3(sun.x, 0.4, sun.z))));
            float lum = what.x * (light.x * direct + light.y * bounce * side * open);
            vec3 half_way = normalize(sun - ray.d);
            float gloss = pow(max(dot(n, half_way), 0.0), what.z) * what.y * light.x * lit;
            float graze = pow(1.0 - clamp(dot(n, -ray.d), 0.0, 1.0), 3.5);
            lum += gloss * (0.2 + 0.8 * graze + 0.25) * (facing > 0.0 ? 1.0 : 0.0);
            lum += graze * open * light.y * bounce * (what.w == 2.0 ? 0.055 : (what.w == 3.0 ? 0.05 : 0.09));
            value = lum;
        }
    }
    vec2 v = s * vec2(0.75, 1.0);
    return film(value * (1.0 - room.w * dot(v, v)));
}

void main() {
    float depth;
#if defined(COARSE)
    colour = vec4(clear_way(gl_FragCoord.xy * float(BLOCK)), 0.0, 0.0, 1.0);
#elif defined(SECOND_PASS)
    ivec2 at = ivec2(gl_FragCoord.xy), top = textureSize(first, 0) - 1;
    vec2 here = texelFetch(first, at, 0).xy;
    float value = here.x;
    float step_l = 0.0, step_d = 0.0, nearest = here.y;
    for (int i = 0; i < 4; i++) {
        ivec2 k = clamp(at + ivec2(i < 2 ? 2 * i - 1 : 0, i < 2 ? 0 : 2 * i - 5), ivec2(0), top);
        vec2 near = texelFetch(first, k, 0).xy;
        step_l = max(step_l, abs(sqrt(near.x) - sqrt(here.x)));
        step_d = max(step_d, abs(near.y - here.y) / min(near.y, here.y));
        nearest = min(nearest, near.y);
    }
    if (step_l > 0.06 || step_d > 0.07) {
        float start = texelFetch(coarse, at / BLOCK, 0).x;
        start = max(start, nearest - 0.02);
        value = here.x / 3.0;
        for (int i = 1; i < 3; i++) value += look(gl_FragCoord.xy + (i == 1 ? SECOND : THIRD), start, depth) / 3.0;
    }
    colour = vec4(value, 0.0, 0.0, 1.0);
#else
    float value = look(gl_FragCoord.xy + FIRST, texelFetch(coarse, ivec2(gl_FragCoord.xy) / BLOCK, 0).x, depth);
    colour = vec4(value, depth, 0.0, 1.0);
#endif
}
