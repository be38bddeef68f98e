@group(0) @binding(0) var<storage, read_write> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> x3: array<vec4<f32>>;
var<workgroup> parts: array<vec4<f32>, 8>;

@compute @workgroup_size(2, 1, 4)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
) {
  let lane0 = i32(lane.x);
  let lane2 = i32(lane.z);
  var acc_0_0 = vec4<f32>(0.0f);
  for (var step = lane2; step < 16; step += 4) {
    let a0 = x0[step];
    let b0_0 = x1[lane0 + step * 8];
    acc_0_0 += a0.x * b0_0;
    let b0_1 = x1[lane0 + step * 8 + 2];
    acc_0_0 += a0.y * b0_1;
    let b0_2 = x1[lane0 + step * 8 + 4];
    acc_0_0 += a0.z * b0_2;
    let b0_3 = x1[lane0 + step * 8 + 6];
    acc_0_0 += a0.w * b0_3;
  }
  parts[lane0 + lane2 * 2] = acc_0_0;
  workgroupBarrier();
  if (lane2 == 0i) {
    for (var other = 1i; other < 4; other += 1) {
      acc_0_0 += parts[lane0 + other * 2];
    }
  }
  if (lane2 == 0i) {
    x3[lane0] = acc_0_0 + x2[lane0];
  }
}
