// tanh without exp, which overflows to NaN in some drivers' tanh: x·P(x²)/Q(x²) on [-9, 9].
// Coefficients: the rational minimax fit of Eigen's and XLA's float tanh; largest error 3e-7.

fn tanh1(value: f32) -> f32 {
  let x = clamp(value, -7.90531110763549805, 7.90531110763549805);
  let s = x * x;
  var p = fma(s, -2.76076847742355e-16, 2.00018790482477e-13);
  p = fma(p, s, -8.60467152213735e-11);
  p = fma(p, s, 5.12229709037114e-8);
  p = fma(p, s, 1.48572235717979e-5);
  p = fma(p, s, 6.37261928875436e-4);
  p = fma(p, s, 4.89352455891786e-3);
  var q = fma(s, 1.19825839466702e-6, 1.18534705686654e-4);
  q = fma(q, s, 2.26843463243900e-3);
  q = fma(q, s, 4.89352518554385e-3);
  return x * p / q;
}

fn tanh4(value: vec4<f32>) -> vec4<f32> {
  let x = clamp(value, vec4<f32>(-7.90531110763549805), vec4<f32>(7.90531110763549805));
  let s = x * x;
  var p = s * -2.76076847742355e-16 + 2.00018790482477e-13;
  p = p * s + -8.60467152213735e-11;
  p = p * s + 5.12229709037114e-8;
  p = p * s + 1.48572235717979e-5;
  p = p * s + 6.37261928875436e-4;
  p = p * s + 4.89352455891786e-3;
  var q = s * 1.19825839466702e-6 + 1.18534705686654e-4;
  q = q * s + 2.26843463243900e-3;
  q = q * s + 4.89352518554385e-3;
  return x * p / q;
}
