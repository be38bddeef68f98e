// The error function, which WGSL lacks: x·P(x²)/Q(x²) on [-4, 4], ±1 beyond.
// Coefficients: the rational minimax fit of Eigen's and XLA's float erf; largest error 2.3e-7.

fn erf1(value: f32) -> f32 {
  let x = clamp(value, -4.0, 4.0);
  let s = x * x;
  var p = fma(s, -2.72614225801306e-10, 2.77068142495902e-8);
  p = fma(p, s, -2.10102402082508e-6);
  p = fma(p, s, -5.69250639462346e-5);
  p = fma(p, s, -7.34990630326855e-4);
  p = fma(p, s, -2.95459980854025e-3);
  p = fma(p, s, -1.60960333262415e-2);
  var q = fma(s, -1.45660718464996e-5, -2.13374055278905e-4);
  q = fma(q, s, -1.68282697438203e-3);
  q = fma(q, s, -7.37332916720468e-3);
  q = fma(q, s, -1.42647390514189e-2);
  return clamp(x * p / q, -1.0, 1.0);
}

fn erf4(value: vec4<f32>) -> vec4<f32> {
  let x = clamp(value, vec4<f32>(-4.0), vec4<f32>(4.0));
  let s = x * x;
  var p = s * -2.72614225801306e-10 + 2.77068142495902e-8;
  p = p * s + -2.10102402082508e-6;
  p = p * s + -5.69250639462346e-5;
  p = p * s + -7.34990630326855e-4;
  p = p * s + -2.95459980854025e-3;
  p = p * s + -1.60960333262415e-2;
  var q = s * -1.45660718464996e-5 + -2.13374055278905e-4;
  q = q * s + -1.68282697438203e-3;
  q = q * s + -7.37332916720468e-3;
  q = q * s + -1.42647390514189e-2;
  return clamp(x * p / q, vec4<f32>(-1.0), vec4<f32>(1.0));
}
