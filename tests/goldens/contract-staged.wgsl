@group(0) @binding(0) var<storage, read_write> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> x3: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> symbols: array<vec4<i32>, 1>;
var<workgroup> tile_a: array<vec4<f32>, 16>;
var<workgroup> tile_b: array<vec4<f32>, 32>;

@compute @workgroup_size(4, 4, 1)
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
  let part = (s0 * s1 + 7) / 8;
  let at = s0 * s1;
  let at_1 = lane0 + lane1 * 4;
  if ((wg1 + wg2 * 65535) < part) {
    let block_row = wg1 * 8 + wg2 * 524280;
    let row = block_row + lane1 * 2;
    let m0 = min(row, at - 1);
    let m1 = min(row + 1, at - 1);
    let block_quad = wg0 * 4;
    let quad = block_quad + lane0;
    var acc_0_0 = vec4<f32>(0.0f);
    var acc_1_0 = vec4<f32>(0.0f);
    for (var block = 0i; block < 4; block += 2) {
      workgroupBarrier();
      for (var slot = at_1; slot < 16; slot += 16) {
        let quad_k = (slot % 2) + block;
        let part_1 = slot / 2;
        let part_2 = min(block_row + part_1, at - 1);
        tile_a[slot] = x0[part_2 * 4 + quad_k];
      }
      for (var slot_1 = (lane0 + lane1 * 4); slot_1 < 32; slot_1 += 16) {
        let quad_k_1 = (slot_1 / 16) + block;
        let part_3 = slot_1 % 4;
        let column = min(block_quad + part_3, 7);
        let part_4 = slot_1 / 4;
        let part_5 = part_4 % 4;
        tile_b[slot_1] = x1[column + part_5 * 8 + quad_k_1 * 32];
      }
      workgroupBarrier();
      let at_2 = lane1 * 4;
      for (var depth = 0i; depth < 2; depth += 1) {
        let a0 = tile_a[at_2 + depth];
        let a1 = tile_a[at_2 + depth + 2];
        let b0_0 = tile_b[depth * 16 + lane0];
        acc_0_0 += a0.x * b0_0;
        acc_1_0 += a1.x * b0_0;
        let b0_1 = tile_b[depth * 16 + lane0 + 4];
        acc_0_0 += a0.y * b0_1;
        acc_1_0 += a1.y * b0_1;
        let b0_2 = tile_b[depth * 16 + lane0 + 8];
        acc_0_0 += a0.z * b0_2;
        acc_1_0 += a1.z * b0_2;
        let b0_3 = tile_b[depth * 16 + lane0 + 12];
        acc_0_0 += a0.w * b0_3;
        acc_1_0 += a1.w * b0_3;
      }
    }
    let at_3 = m0 * 8 + quad;
    if (row < (s0 * s1)) {
      x3[at_3] = acc_0_0 + x2[quad];
    }
    let at_4 = m1 * 8 + quad;
    if ((row + 1) < (s0 * s1)) {
      x3[at_4] = acc_1_0 + x2[quad];
    }
  }
}
