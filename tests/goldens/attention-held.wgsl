@group(0) @binding(0) var<storage, read_write> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> x2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> x3: array<vec4<f32>>;

@compute @workgroup_size(4, 1, 1)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
) {
  let lane0 = i32(lane.x);
  let b0 = 0i;
  let b1 = 0i;
  let q0_0 = x0[b0 * 4 + b1 + lane0];
  var top0 = -3e+38f;
  var sum0 = 0.0f;
  var acc0_0 = vec4<f32>(0.0f);
  let at = b0 * 4 + b1;
  for (var step = 0i; step < 1; step += 1) {
    var dot0_0 = vec4<f32>(0.0f);
    let at_1 = at + step * 4;
    for (var key = 0i; key < 4; key += 1) {
      let k0_0 = x1[at_1 + key];
      var part0_0 = q0_0 * k0_0;
      dot0_0 = vec4<f32>(dot0_0.y, dot0_0.z, dot0_0.w, part0_0.x + part0_0.y + part0_0.z + part0_0.w);
    }
    let score = max(dot0_0 * 0.5f, vec4<f32>(-3e+38f));
    let new0 = max(top0, max(max(score.x, score.y), max(score.z, score.w)));
    let scale0 = exp(top0 - new0);
    let weight0_0 = exp(score - vec4<f32>(new0));
    top0 = new0;
    sum0 = (sum0 * scale0) + (weight0_0.x + weight0_0.y + weight0_0.z + weight0_0.w);
    acc0_0 *= vec4<f32>(scale0);
    var ring0_0 = weight0_0;
    let at_2 = b0 * 4 + b1 + step * 4;
    for (var turn = 0i; turn < 4; turn += 1) {
      let v0 = x2[at_2 + turn];
      acc0_0 += ring0_0.x * v0;
      ring0_0 = vec4<f32>(ring0_0.y, ring0_0.z, ring0_0.w, ring0_0.x);
    }
  }
  let inverse0 = 1.0f / sum0;
  let result0_0 = acc0_0 * vec4<f32>(inverse0);
  x3[b0 * 4 + b1 + lane0] = result0_0;
}
