@group(0) @binding(0) var<storage, read_write> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read> x2: array<f32>;
@group(0) @binding(3) var<storage, read_write> x3: array<f32>;

@compute @workgroup_size(1, 1, 1)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
) {
  let wg0 = i32(workgroup.x);
  let wg1 = i32(workgroup.y);
  let block_row = wg1 * 2;
  let m0 = min(block_row, 2);
  let m1 = min(block_row + 1, 2);
  let n0_0 = min(wg0 * 4, 4);
  let n0_1 = min(wg0 * 4 + 1, 4);
  let n0_2 = min(wg0 * 4 + 2, 4);
  let n0_3 = min(wg0 * 4 + 3, 4);
  let at = m0 * 6;
  let at_1 = m1 * 6;
  let at_2 = n0_0 * 6;
  let at_3 = n0_1 * 6;
  let at_4 = n0_2 * 6;
  let at_5 = n0_3 * 6;
  if (block_row < 3i) {
    var acc_0_0 = vec4<f32>(0.0f);
    var acc_1_0 = vec4<f32>(0.0f);
    for (var step = 0i; step < 1; step += 1) {
      let a0 = vec4<f32>(x0[at + step * 4], x0[at + step * 4 + 1], x0[at + step * 4 + 2], x0[at + step * 4 + 3]);
      let a1 = vec4<f32>(x0[at_1 + step * 4], x0[at_1 + step * 4 + 1], x0[at_1 + step * 4 + 2], x0[at_1 + step * 4 + 3]);
      let b0_0 = vec4<f32>(x1[at_2 + step * 4], x1[at_3 + step * 4], x1[at_4 + step * 4], x1[at_5 + step * 4]);
      acc_0_0 += a0.x * b0_0;
      acc_1_0 += a1.x * b0_0;
      let b0_1 = vec4<f32>(x1[at_2 + step * 4 + 1], x1[at_3 + step * 4 + 1], x1[at_4 + step * 4 + 1], x1[at_5 + step * 4 + 1]);
      acc_0_0 += a0.y * b0_1;
      acc_1_0 += a1.y * b0_1;
      let b0_2 = vec4<f32>(x1[at_2 + step * 4 + 2], x1[at_3 + step * 4 + 2], x1[at_4 + step * 4 + 2], x1[at_5 + step * 4 + 2]);
      acc_0_0 += a0.z * b0_2;
      acc_1_0 += a1.z * b0_2;
      let b0_3 = vec4<f32>(x1[at_2 + step * 4 + 3], x1[at_3 + step * 4 + 3], x1[at_4 + step * 4 + 3], x1[at_5 + step * 4 + 3]);
      acc_0_0 += a0.w * b0_3;
      acc_1_0 += a1.w * b0_3;
    }
    for (var tail = 4i; tail < 6; tail += 1) {
      let b0_0_1 = vec4<f32>(x1[at_2 + tail], x1[at_3 + tail], x1[at_4 + tail], x1[at_5 + tail]);
      let a0_1 = x0[at + tail];
      acc_0_0 += a0_1 * b0_0_1;
      let a1_1 = x0[at_1 + tail];
      acc_1_0 += a1_1 * b0_0_1;
    }
    let result = acc_0_0 + vec4<f32>(x2[n0_0], x2[n0_1], x2[n0_2], x2[n0_3]);
    let at_6 = m0 * 5 + n0_0;
    if ((wg0 * 4) < 5i) {
      x3[at_6] = result.x;
    }
    let at_7 = m0 * 5 + n0_1;
    if ((wg0 * 4 + 1) < 5i) {
      x3[at_7] = result.y;
    }
    let at_8 = m0 * 5 + n0_2;
    if ((wg0 * 4 + 2) < 5i) {
      x3[at_8] = result.z;
    }
    let at_9 = m0 * 5 + n0_3;
    if ((wg0 * 4 + 3) < 5i) {
      x3[at_9] = result.w;
    }
    let at_10 = wg0 * 4;
    let at_11 = m1 * 5 + n0_0;
    let at_12 = m1 * 5 + n0_1;
    let at_13 = m1 * 5 + n0_2;
    let at_14 = m1 * 5 + n0_3;
    if ((block_row + 1) < 3i) {
      let result_1 = acc_1_0 + vec4<f32>(x2[n0_0], x2[n0_1], x2[n0_2], x2[n0_3]);
      if (at_10 < 5i) {
        x3[at_11] = result_1.x;
      }
      if ((at_10 + 1) < 5i) {
        x3[at_12] = result_1.y;
      }
      if ((at_10 + 2) < 5i) {
        x3[at_13] = result_1.z;
      }
      if ((at_10 + 3) < 5i) {
        x3[at_14] = result_1.w;
      }
    }
  }
}
