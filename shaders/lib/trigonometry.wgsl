// sin and cos for any size of angle: WGSL's own may be off by 5e-4, and by more outside of -π … π.
// Cody and Waite's reduction to -π/4 … π/4 and the polynomials of Cephes' sinf and cosf; the largest
// error is 2e-7 up to 8192, and grows with the angle's own rounding beyond.

// sin of `value` + `quarters` quarter turns.
fn quarter_sin1(value: f32, quarters: i32) -> f32 {
  let turns = round(value * 0.6366197723675814);
  let r = ((value - turns * 1.5703125) - turns * 4.837512969970703e-4) - turns * 7.54978995489e-8;
  let z = r * r;
  let odd = ((z * -1.9515295891e-4 + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
  let even = ((z * 2.443315711809948e-5 - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z
    - 0.5 * z + 1.0;
  let quarter = i32(turns) + quarters;
  let size = select(odd, even, (quarter & 1) == 1);
  return select(size, -size, (quarter & 2) == 2);
}

fn sin1(value: f32) -> f32 {
  return quarter_sin1(value, 0);
}

fn cos1(value: f32) -> f32 {
  return quarter_sin1(value, 1);
}

// sin of `value` + `quarters` quarter turns.
fn quarter_sin4(value: vec4<f32>, quarters: i32) -> vec4<f32> {
  let turns = round(value * 0.6366197723675814);
  let r = ((value - turns * 1.5703125) - turns * 4.837512969970703e-4) - turns * 7.54978995489e-8;
  let z = r * r;
  let odd = ((z * -1.9515295891e-4 + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
  let even = ((z * 2.443315711809948e-5 - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z
    - 0.5 * z + 1.0;
  let quarter = vec4<i32>(turns) + quarters;
  let size = select(odd, even, (quarter & vec4<i32>(1)) == vec4<i32>(1));
  return select(size, -size, (quarter & vec4<i32>(2)) == vec4<i32>(2));
}

fn sin4(value: vec4<f32>) -> vec4<f32> {
  return quarter_sin4(value, 0);
}

fn cos4(value: vec4<f32>) -> vec4<f32> {
  return quarter_sin4(value, 1);
}
