(func (;0;) (type 0)
  (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
  (local v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128)
  (local v128 v128 v128 v128 v128)
  (local.set 18 (v128.const f32x4 1.0 1.0 1.0 1.0))
  (local.set 25 (v128.const f32x4 90.0 90.0 90.0 90.0))
  (local.set 26 (v128.const f32x4 -176.0 -176.0 -176.0 -176.0))
  (local.set 27 (v128.const f32x4 0.7213475 0.7213475 0.7213475 0.7213475))
  (local.set 28 (v128.const f32x4 1.2583039e+07 1.2583039e+07 1.2583039e+07 1.2583039e+07))
  (local.set 29 (v128.const f32x4 6.389237e-05 6.389237e-05 6.389237e-05 6.389237e-05))
  (local.set 30 (v128.const f32x4 1.3862305 1.3862305 1.3862305 1.3862305))
  (local.set 31 (v128.const f32x4 2.1594893e-05 2.1594893e-05 2.1594893e-05 2.1594893e-05))
  (local.set 32 (v128.const f32x4 0.00026152117 0.00026152117 0.00026152117 0.00026152117))
  (local.set 33 (v128.const f32x4 0.0026042666 0.0026042666 0.0026042666 0.0026042666))
  (local.set 34 (v128.const f32x4 0.020833151 0.020833151 0.020833151 0.020833151))
  (local.set 35 (v128.const f32x4 0.124999985 0.124999985 0.124999985 0.124999985))
  (local.set 36 (v128.const f32x4 0.5 0.5 0.5 0.5))
  (local.set 4 (i32.load (local.get 0)))
  (local.set 5 (i32.load offset=4 (local.get 0)))
  (local.set 6 (i32.load offset=8 (local.get 0)))
  (local.set 7 (i32.load offset=12 (local.get 0)))
  (local.set 8 (i32.load (local.get 7)))
  (local.set 9 (local.get 1))
  (i32.lt_s (local.get 9) (local.get 2))
  if
    loop
      (i32.add (i32.shl (local.get 9) (i32.const 12)) (i32.const 4096))
      (local.set 10 (i32.shl (local.get 8) (i32.const 3)))
      local.tee 7
      (local.get 10)
      (i32.lt_s (local.get 7) (local.get 10))
      select
      local.set 11
      (local.set 12 (i32.shr_s (local.get 11) (i32.const 2)))
      (local.set 13 (i32.shl (local.get 9) (i32.const 10)))
      (i32.lt_s (local.get 13) (local.get 12))
      if
        (local.set 14 (i32.add (local.get 4) (i32.shl (local.get 13) (i32.const 4))))
        (local.set 15 (i32.add (local.get 6) (i32.shl (local.get 13) (i32.const 4))))
        (local.set 16 (i32.add (local.get 5) (i32.shl (local.get 13) (i32.const 4))))
        loop
          (local.set 17 (v128.load align=4 (local.get 14)))
          (local.get 15)
          (local.get 17)
          (local.get 18)
          (local.set 19 (f32x4.neg (local.get 17)))
          (local.set 20 (f32x4.pmax (f32x4.pmin (local.get 19) (local.get 25)) (local.get 26)))
          (local.set 21 (f32x4.relaxed_madd (local.get 20) (local.get 27) (local.get 28)))
          (local.set 22 (f32x4.sub (local.get 21) (local.get 28)))
          (local.set 23
            (f32x4.relaxed_nmadd
              (local.get 22) (local.get 29)
              (f32x4.relaxed_nmadd (local.get 22) (local.get 30) (local.get 20))))
          (local.set 24
            (f32x4.mul
              (f32x4.relaxed_madd
                (f32x4.relaxed_madd
                  (f32x4.relaxed_madd
                    (f32x4.relaxed_madd
                      (f32x4.relaxed_madd
                        (f32x4.relaxed_madd (local.get 23) (local.get 31) (local.get 32))
                        (local.get 23) (local.get 33))
                      (local.get 23) (local.get 34))
                    (local.get 23) (local.get 35))
                  (local.get 23) (local.get 36))
                (local.get 23) (local.get 18))
              (i32x4.shl (local.get 21) (i32.const 23))))
          (local.tee 37 (f32x4.mul (local.get 24) (local.get 24)))
          f32x4.add
          f32x4.div
          (v128.load align=4 (local.get 16))
          f32x4.add
          v128.store align=4
          (local.set 14 (i32.add (local.get 14) (i32.const 16)))
          (local.set 15 (i32.add (local.get 15) (i32.const 16)))
          (local.set 16 (i32.add (local.get 16) (i32.const 16)))
          (br_if 0
            (i32.lt_s (local.tee 13 (i32.add (local.get 13) (i32.const 1))) (local.get 12)))
        end
      end
      (br_if 0 (i32.lt_s (local.tee 9 (i32.add (local.get 9) (i32.const 1))) (local.get 2)))
    end
  end
)
