@group(0) @binding(0) var<storage, read_write> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> x2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> x3: array<vec4<f32>>;

@compute @workgroup_size(2, 4, 1)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
) {
  let lane0 = i32(lane.x);
  let lane1 = i32(lane.y);
  let row = lane1 * 2;
  let m1 = row + 1;
  let n1 = lane0 + 2;
  var acc_0_0 = vec4<f32>(0.0f);
  var acc_0_1 = vec4<f32>(0.0f);
  var acc_1_0 = vec4<f32>(0.0f);
  var acc_1_1 = vec4<f32>(0.0f);
  let at = row * 2;
  let at_1 = m1 * 2;
  for (var step = 0i; step < 2; step += 1) {
    let a0 = x0[at + step];
    let a1 = x0[at_1 + step];
    let b0_0 = x1[lane0 + step * 16];
    let b1_0 = x1[n1 + step * 16];
    acc_0_0 += a0.x * b0_0;
    acc_0_1 += a0.x * b1_0;
    acc_1_0 += a1.x * b0_0;
    acc_1_1 += a1.x * b1_0;
    let b0_1 = x1[lane0 + step * 16 + 4];
    let b1_1 = x1[n1 + step * 16 + 4];
    acc_0_0 += a0.y * b0_1;
    acc_0_1 += a0.y * b1_1;
    acc_1_0 += a1.y * b0_1;
    acc_1_1 += a1.y * b1_1;
    let b0_2 = x1[lane0 + step * 16 + 8];
    let b1_2 = x1[n1 + step * 16 + 8];
    acc_0_0 += a0.z * b0_2;
    acc_0_1 += a0.z * b1_2;
    acc_1_0 += a1.z * b0_2;
    acc_1_1 += a1.z * b1_2;
    let b0_3 = x1[lane0 + step * 16 + 12];
    let b1_3 = x1[n1 + step * 16 + 12];
    acc_0_0 += a0.w * b0_3;
    acc_0_1 += a0.w * b1_3;
    acc_1_0 += a1.w * b0_3;
    acc_1_1 += a1.w * b1_3;
  }
  x3[lane0 + row * 4] = acc_0_0 + x2[lane0 + row * 4];
  x3[n1 + row * 4] = acc_0_1 + x2[n1 + row * 4];
  x3[lane0 + m1 * 4] = acc_1_0 + x2[lane0 + m1 * 4];
  x3[m1 * 4 + n1] = acc_1_1 + x2[m1 * 4 + n1];
}
