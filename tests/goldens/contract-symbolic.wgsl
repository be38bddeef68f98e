@group(0) @binding(0) var<storage, read_write> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> x3: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> symbols: array<vec4<i32>, 1>;

@compute @workgroup_size(4, 2, 1)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
) {
  let wg0 = i32(workgroup.x);
  let wg1 = i32(workgroup.y);
  let wg2 = i32(workgroup.z);
  let lane0 = i32(lane.x);
  let lane1 = i32(lane.y);
  let s0 = symbols[0].x;
  let s1 = symbols[0].y;
  let part = (s0 * s1 + 3) / 4;
  let at = s0 * s1;
  if ((wg1 + wg2 * 65535) < part) {
    let block_row = wg1 * 4 + wg2 * 262140;
    let row = block_row + lane1 * 2;
    let m0 = min(row, at - 1);
    let m1 = min(row + 1, at - 1);
    let block_quad = wg0 * 4;
    let quad = block_quad + lane0;
    let n0 = min(quad, 5);
    let at_1 = m0 * 4;
    let at_2 = m1 * 4;
    if (row < at) {
      var acc_0_0 = vec4<f32>(0.0f);
      var acc_1_0 = vec4<f32>(0.0f);
      for (var step = 0i; step < 4; step += 1) {
        let a0 = x0[at_1 + step];
        let a1 = x0[at_2 + step];
        let b0_0 = x1[n0 + step * 24];
        acc_0_0 += a0.x * b0_0;
        acc_1_0 += a1.x * b0_0;
        let b0_1 = x1[n0 + step * 24 + 6];
        acc_0_0 += a0.y * b0_1;
        acc_1_0 += a1.y * b0_1;
        let b0_2 = x1[n0 + step * 24 + 12];
        acc_0_0 += a0.z * b0_2;
        acc_1_0 += a1.z * b0_2;
        let b0_3 = x1[n0 + step * 24 + 18];
        acc_0_0 += a0.w * b0_3;
        acc_1_0 += a1.w * b0_3;
      }
      let at_3 = m0 * 6 + n0;
      if (quad < 6i) {
        x3[at_3] = acc_0_0 + x2[n0];
      }
      let at_4 = m1 * 6 + n0;
      if ((row + 1) < (s0 * s1)) {
        if (quad < 6i) {
          x3[at_4] = acc_1_0 + x2[n0];
        }
      }
    }
  }
}
