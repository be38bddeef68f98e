@group(0) @binding(0) var<storage, read_write> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> x2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> x3: array<f32>;
@group(0) @binding(4) var<storage, read_write> x4: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> symbols: array<vec4<i32>, 1>;
var<workgroup> keys: array<vec4<f32>, 16>;
var<workgroup> values: array<vec4<f32>, 16>;

@compute @workgroup_size(8, 1, 1)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
) {
  let wg0 = i32(workgroup.x);
  let wg1 = i32(workgroup.y);
  let lane0 = i32(lane.x);
  let s0 = symbols[0].x;
  let s1 = symbols[0].y;
  let part = (s1 + 15) / 16;
  let part_1 = (wg0 + wg1 * 65535) / part;
  let part_2 = part_1 / 2;
  let part_3 = part_1 % 2;
  let at = wg0 + wg1 * 65535;
  let part_4 = (s1 + 7) / 8;
  if ((wg0 + wg1 * 65535) < (part * s0 * 2)) {
    let b0 = part_2;
    let b1 = part_3;
    let row = (at % part) * 16 + lane0 * 2;
    let q0 = min(row, s1 - 1);
    let q1 = min(row + 1, s1 - 1);
    var top0 = -3e+38f;
    var sum0 = 0.0f;
    var acc0_0 = vec4<f32>(0.0f);
    var acc0_1 = vec4<f32>(0.0f);
    var top1 = -3e+38f;
    var sum1 = 0.0f;
    var acc1_0 = vec4<f32>(0.0f);
    var acc1_1 = vec4<f32>(0.0f);
    let at_2 = b0 * s1 * 4 + b1 * 2;
    for (var step = 0i; step < part_4; step += 1) {
      workgroupBarrier();
      let at_1 = step * 8;
      for (var slot = lane0; slot < 16; slot += 8) {
        let place = slot % 2;
        let part_5 = slot / 2;
        let t_1 = min(at_1 + part_5, s1 - 1);
        keys[slot] = x1[at_2 + place + t_1 * 4];
      }
      for (var slot_1 = lane0; slot_1 < 16; slot_1 += 8) {
        let place_1 = slot_1 % 2;
        let part_6 = slot_1 / 2;
        let t_2 = min(at_1 + part_6, s1 - 1);
        let e_quad = min(place_1, 1);
        values[slot_1] = x2[at_2 + e_quad + t_2 * 4];
      }
      workgroupBarrier();
      let at_3 = b0 * s1 * 4 + b1 * 2 + q0 * 4;
      let at_4 = b0 * s1 * 4 + b1 * 2 + q1 * 4;
      for (var part_7 = 0i; part_7 < 2; part_7 += 1) {
        let t0 = min(at_1 + part_7 * 4, s1 - 1);
        let t1 = min(at_1 + part_7 * 4 + 1, s1 - 1);
        let t2 = min(at_1 + part_7 * 4 + 2, s1 - 1);
        let t3 = min(at_1 + part_7 * 4 + 3, s1 - 1);
        var part0_0 = vec4<f32>(0.0f);
        var part0_1 = vec4<f32>(0.0f);
        var part0_2 = vec4<f32>(0.0f);
        var part0_3 = vec4<f32>(0.0f);
        var part1_0 = vec4<f32>(0.0f);
        var part1_1 = vec4<f32>(0.0f);
        var part1_2 = vec4<f32>(0.0f);
        var part1_3 = vec4<f32>(0.0f);
        let at_5 = part_7 * 8;
        for (var depth = 0i; depth < 2; depth += 1) {
          let q0_d = x0[at_3 + depth];
          let q1_d = x0[at_4 + depth];
          let k0_d = keys[at_5 + depth];
          part0_0 += q0_d * k0_d;
          part1_0 += q1_d * k0_d;
          let k1_d = keys[at_5 + depth + 2];
          part0_1 += q0_d * k1_d;
          part1_1 += q1_d * k1_d;
          let k2_d = keys[at_5 + depth + 4];
          part0_2 += q0_d * k2_d;
          part1_2 += q1_d * k2_d;
          let k3_d = keys[at_5 + depth + 6];
          part0_3 += q0_d * k3_d;
          part1_3 += q1_d * k3_d;
        }
        let dot0_0 = vec4<f32>(part0_0.x + part0_0.y + part0_0.z + part0_0.w, part0_1.x + part0_1.y + part0_1.z + part0_1.w, part0_2.x + part0_2.y + part0_2.z + part0_2.w, part0_3.x + part0_3.y + part0_3.z + part0_3.w);
        let dot1_0 = vec4<f32>(part1_0.x + part1_0.y + part1_0.z + part1_0.w, part1_1.x + part1_1.y + part1_1.z + part1_1.w, part1_2.x + part1_2.y + part1_2.z + part1_2.w, part1_3.x + part1_3.y + part1_3.z + part1_3.w);
        let value = vec4<f32>(x3[b0 * s1 + t0], x3[b0 * s1 + t1], x3[b0 * s1 + t2], x3[b0 * s1 + t3]);
        let score = max((dot0_0 * 0.35355338f) + value, vec4<f32>(-3e+38f));
        let score_1 = max((dot1_0 * 0.35355338f) + value, vec4<f32>(-3e+38f));
        let new0 = max(top0, max(max(score.x, score.y), max(score.z, score.w)));
        let scale0 = exp(top0 - new0);
        let weight0_0 = select(vec4<f32>(0.0f), exp(score - vec4<f32>(new0)), vec4<i32>(part_7 * 4 + step * 8, part_7 * 4 + step * 8 + 1, part_7 * 4 + step * 8 + 2, part_7 * 4 + step * 8 + 3) < vec4<i32>(s1));
        top0 = new0;
        sum0 = (sum0 * scale0) + (weight0_0.x + weight0_0.y + weight0_0.z + weight0_0.w);
        acc0_0 *= vec4<f32>(scale0);
        acc0_1 *= vec4<f32>(scale0);
        let new1 = max(top1, max(max(score_1.x, score_1.y), max(score_1.z, score_1.w)));
        let scale1 = exp(top1 - new1);
        let weight1_0 = select(vec4<f32>(0.0f), exp(score_1 - vec4<f32>(new1)), vec4<i32>(part_7 * 4 + step * 8, part_7 * 4 + step * 8 + 1, part_7 * 4 + step * 8 + 2, part_7 * 4 + step * 8 + 3) < vec4<i32>(s1));
        top1 = new1;
        sum1 = (sum1 * scale1) + (weight1_0.x + weight1_0.y + weight1_0.z + weight1_0.w);
        acc1_0 *= vec4<f32>(scale1);
        acc1_1 *= vec4<f32>(scale1);
        var ring0_0 = weight0_0;
        var ring1_0 = weight1_0;
        for (var turn = 0i; turn < 4; turn += 1) {
          let v0 = values[at_5 + turn * 2];
          acc0_0 += ring0_0.x * v0;
          acc1_0 += ring1_0.x * v0;
          let v1 = values[at_5 + turn * 2 + 1];
          acc0_1 += ring0_0.x * v1;
          acc1_1 += ring1_0.x * v1;
          ring0_0 = vec4<f32>(ring0_0.y, ring0_0.z, ring0_0.w, ring0_0.x);
          ring1_0 = vec4<f32>(ring1_0.y, ring1_0.z, ring1_0.w, ring1_0.x);
        }
      }
    }
    let at_6 = b0 * s1 * 4 + b1 * 2 + q0 * 4;
    if (row < s1) {
      let inverse0 = 1.0f / sum0;
      let result0_0 = acc0_0 * vec4<f32>(inverse0);
      x4[at_6] = result0_0;
      let result0_1 = acc0_1 * vec4<f32>(inverse0);
      x4[at_6 + 1] = result0_1;
    }
    let at_7 = b0 * s1 * 4 + b1 * 2 + q1 * 4;
    if ((row + 1) < s1) {
      let inverse1 = 1.0f / sum1;
      let result1_0 = acc1_0 * vec4<f32>(inverse1);
      x4[at_7] = result1_0;
      let result1_1 = acc1_1 * vec4<f32>(inverse1);
      x4[at_7 + 1] = result1_1;
    }
  }
}
