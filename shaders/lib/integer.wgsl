// Integer division and remainder that round down, for a positive divisor or any non-zero one.
// Without &&, which branches: SwiftShader's compiler takes twice as long for every further branch.

fn floor_div(left: i32, right: i32) -> i32 {
  let quotient = left / right;
  return select(quotient, quotient - 1, (left % right != 0) & ((left < 0) != (right < 0)));
}

fn floor_mod(left: i32, right: i32) -> i32 {
  let rest = left % right;
  return select(rest, rest + right, (rest != 0) & ((rest < 0) != (right < 0)));
}
