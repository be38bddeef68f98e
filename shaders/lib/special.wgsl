// Infinity and NaN, which WGSL has no literals for: the bits stand in variables, so that no
// compiler sees a constant expression that overflows.

var<private> infinity_bits: u32 = 0x7f800000u;
var<private> nan_bits: u32 = 0x7fc00000u;

fn infinity() -> f32 {
  return bitcast<f32>(infinity_bits);
}

fn not_a_number() -> f32 {
  return bitcast<f32>(nan_bits);
}
