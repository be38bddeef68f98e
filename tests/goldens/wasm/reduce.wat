(func (;0;) (type 0)
  (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
  (local v128)
  (local f32)
  (local i32 i32 i32 i32 i32 i32 i32)
  (local v128)
  (local f32)
  (local v128)
  (local f32)
  (local v128 v128)
  (local i32 i32 i32 i32 i32)
  (local v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128)
  (local v128 v128 v128 v128)
  (local i32 i32 i32 i32 i32)
  (local f32)
  (local v128 v128)
  (local f32)
  (local v128 v128)
  (local i32 i32 i32 i32 i32 i32)
  (local.set 42 (v128.const f32x4 90.0 90.0 90.0 90.0))
  (local.set 43 (v128.const f32x4 -105.0 -105.0 -105.0 -105.0))
  (local.set 44 (v128.const f32x4 0.7213475 0.7213475 0.7213475 0.7213475))
  (local.set 45 (v128.const f32x4 1.2583039e+07 1.2583039e+07 1.2583039e+07 1.2583039e+07))
  (local.set 46 (v128.const f32x4 6.389237e-05 6.389237e-05 6.389237e-05 6.389237e-05))
  (local.set 47 (v128.const f32x4 1.3862305 1.3862305 1.3862305 1.3862305))
  (local.set 48 (v128.const f32x4 2.1594893e-05 2.1594893e-05 2.1594893e-05 2.1594893e-05))
  (local.set 49 (v128.const f32x4 0.00026152117 0.00026152117 0.00026152117 0.00026152117))
  (local.set 50 (v128.const f32x4 0.0026042666 0.0026042666 0.0026042666 0.0026042666))
  (local.set 51 (v128.const f32x4 0.020833151 0.020833151 0.020833151 0.020833151))
  (local.set 52 (v128.const f32x4 0.124999985 0.124999985 0.124999985 0.124999985))
  (local.set 53 (v128.const f32x4 0.5 0.5 0.5 0.5))
  (local.set 54 (v128.const f32x4 1.0 1.0 1.0 1.0))
  (local.set 4 (i32.load (local.get 0)))
  (local.set 5 (i32.load offset=4 (local.get 0)))
  (local.set 6 (i32.load offset=8 (local.get 0)))
  (local.set 7 (i32.load (local.get 6)))
  (local.set 8 (i32.load offset=4 (local.get 6)))
  (local.set 9 (local.get 1))
  (i32.lt_s (local.get 9) (local.get 2))
  if
    loop
      (local.set 10 (i32.div_u (i32.const 4096) (local.get 8)))
      (local.get 10)
      (local.set 11 (i32.const 1))
      local.tee 6
      (local.get 11)
      (i32.gt_s (local.get 6) (local.get 11))
      select
      local.set 12
      (i32.add (local.get 12) (i32.mul (local.get 12) (local.get 9)))
      (local.set 6 (i32.mul (local.get 7) (local.get 8)))
      local.tee 11
      (local.get 6)
      (i32.lt_s (local.get 11) (local.get 6))
      select
      local.set 13
      (local.set 14 (i32.shr_s (local.get 8) (i32.const 2)))
      (local.set 15 (i32.mul (local.get 12) (local.get 9)))
      (i32.lt_s (local.get 15) (local.get 13))
      if
        loop
          (local.set 16 (v128.const i32x4 0xff800000 0xff800000 0xff800000 0xff800000))
          (local.set 17 (f32.const -inf))
          (local.set 18 (i32.mul (local.get 15) (local.get 8)))
          (local.set 19 (i32.const 0))
          (i32.lt_s (local.get 19) (local.get 14))
          if
            (local.set 20 (i32.add (local.get 4) (i32.shl (local.get 18) (i32.const 2))))
            (local.set 21 (local.get 20))
            loop
              (local.set 16 (f32x4.max (local.get 16) (v128.load align=4 (local.get 21))))
              (local.set 21 (i32.add (local.get 21) (i32.const 16)))
              (br_if 0
                (i32.lt_s (local.tee 19 (i32.add (local.get 19) (i32.const 1))) (local.get 14)))
            end
          end
          (local.set 22 (i32.shl (local.get 14) (i32.const 2)))
          (i32.lt_s (local.get 22) (local.get 8))
          if
            (local.set 23 (i32.add (local.get 4) (i32.shl (local.get 18) (i32.const 2))))
            (local.set 24 (i32.add (local.get 23) (i32.shl (local.get 22) (i32.const 2))))
            loop
              (local.set 17 (f32.max (local.get 17) (f32.load (local.get 24))))
              (local.set 24 (i32.add (local.get 24) (i32.const 4)))
              (br_if 0
                (i32.lt_s (local.tee 22 (i32.add (local.get 22) (i32.const 1))) (local.get 8)))
            end
          end
          (local.set 25 (local.get 16))
          (local.set 26
            (f32.max
              (f32.max
                (f32.max
                  (f32x4.extract_lane 0 (local.get 25)) (f32x4.extract_lane 1 (local.get 25)))
                (f32.max
                  (f32x4.extract_lane 2 (local.get 25)) (f32x4.extract_lane 3 (local.get 25))))
              (local.get 17)))
          (local.set 27 (v128.const i32x4 0 0 0 0))
          (local.set 28 (f32.const 0.0))
          (local.set 29 (f32x4.splat (local.get 26)))
          (local.set 30 (local.get 29))
          (local.set 31 (i32.const 0))
          (i32.lt_s (local.get 31) (local.get 14))
          if
            (local.set 32 (i32.add (local.get 4) (i32.shl (local.get 18) (i32.const 2))))
            (local.set 33 (local.get 32))
            (local.set 34 (i32.add (local.get 5) (i32.shl (local.get 18) (i32.const 2))))
            (local.set 35 (local.get 34))
            loop
              (local.set 36 (f32x4.sub (v128.load align=4 (local.get 33)) (local.get 30)))
              (local.set 37
                (f32x4.pmax (f32x4.pmin (local.get 36) (local.get 42)) (local.get 43)))
              (local.set 38 (f32x4.relaxed_madd (local.get 37) (local.get 44) (local.get 45)))
              (local.set 39 (f32x4.sub (local.get 38) (local.get 45)))
              (local.set 40
                (f32x4.relaxed_nmadd
                  (local.get 39) (local.get 46)
                  (f32x4.relaxed_nmadd (local.get 39) (local.get 47) (local.get 37))))
              (local.set 41
                (f32x4.mul
                  (f32x4.relaxed_madd
                    (f32x4.relaxed_madd
                      (f32x4.relaxed_madd
                        (f32x4.relaxed_madd
                          (f32x4.relaxed_madd
                            (f32x4.relaxed_madd (local.get 40) (local.get 48) (local.get 49))
                            (local.get 40) (local.get 50))
                          (local.get 40) (local.get 51))
                        (local.get 40) (local.get 52))
                      (local.get 40) (local.get 53))
                    (local.get 40) (local.get 54))
                  (i32x4.shl (local.get 38) (i32.const 23))))
              (local.set 55 (f32x4.mul (local.get 41) (local.get 41)))
              (v128.store align=4 (local.get 35) (local.get 55))
              (local.set 27 (f32x4.add (local.get 27) (local.get 55)))
              (local.set 33 (i32.add (local.get 33) (i32.const 16)))
              (local.set 35 (i32.add (local.get 35) (i32.const 16)))
              (br_if 0
                (i32.lt_s (local.tee 31 (i32.add (local.get 31) (i32.const 1))) (local.get 14)))
            end
          end
          (local.set 56 (i32.shl (local.get 14) (i32.const 2)))
          (i32.lt_s (local.get 56) (local.get 8))
          if
            (local.set 57 (i32.add (local.get 4) (i32.shl (local.get 18) (i32.const 2))))
            (local.set 58 (i32.add (local.get 57) (i32.shl (local.get 56) (i32.const 2))))
            (local.set 59 (i32.add (local.get 5) (i32.shl (local.get 18) (i32.const 2))))
            (local.set 60 (i32.add (local.get 59) (i32.shl (local.get 56) (i32.const 2))))
            loop
              (local.set 36 (f32x4.splat (f32.sub (f32.load (local.get 58)) (local.get 26))))
              (local.set 37
                (f32x4.pmax (f32x4.pmin (local.get 36) (local.get 42)) (local.get 43)))
              (local.set 38 (f32x4.relaxed_madd (local.get 37) (local.get 44) (local.get 45)))
              (local.set 39 (f32x4.sub (local.get 38) (local.get 45)))
              (local.set 40
                (f32x4.relaxed_nmadd
                  (local.get 39) (local.get 46)
                  (f32x4.relaxed_nmadd (local.get 39) (local.get 47) (local.get 37))))
              (local.set 41
                (f32x4.mul
                  (f32x4.relaxed_madd
                    (f32x4.relaxed_madd
                      (f32x4.relaxed_madd
                        (f32x4.relaxed_madd
                          (f32x4.relaxed_madd
                            (f32x4.relaxed_madd (local.get 40) (local.get 48) (local.get 49))
                            (local.get 40) (local.get 50))
                          (local.get 40) (local.get 51))
                        (local.get 40) (local.get 52))
                      (local.get 40) (local.get 53))
                    (local.get 40) (local.get 54))
                  (i32x4.shl (local.get 38) (i32.const 23))))
              (local.set 61 (f32x4.extract_lane 0 (f32x4.mul (local.get 41) (local.get 41))))
              (f32.store (local.get 60) (local.get 61))
              (local.set 28 (f32.add (local.get 28) (local.get 61)))
              (local.set 58 (i32.add (local.get 58) (i32.const 4)))
              (local.set 60 (i32.add (local.get 60) (i32.const 4)))
              (br_if 0
                (i32.lt_s (local.tee 56 (i32.add (local.get 56) (i32.const 1))) (local.get 8)))
            end
          end
          (local.set 62 (local.get 27))
          (local.set 64
            (f32.add
              (f32x4.extract_lane 0
                (f32x4.add
                  (local.tee 63
                    (f32x4.add
                      (local.tee 63 (local.get 62))
                      (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7
                        (local.get 63) (local.get 63))))
                  (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11
                    (local.get 63) (local.get 63))))
              (local.get 28)))
          (local.set 65 (f32x4.splat (local.get 64)))
          (local.set 66 (local.get 65))
          (local.set 67 (i32.const 0))
          (i32.lt_s (local.get 67) (local.get 14))
          if
            (local.set 68 (i32.add (local.get 5) (i32.shl (local.get 18) (i32.const 2))))
            (local.set 69 (local.get 68))
            loop
              (v128.store align=4
                (local.get 69) (f32x4.div (v128.load align=4 (local.get 69)) (local.get 66)))
              (local.set 69 (i32.add (local.get 69) (i32.const 16)))
              (br_if 0
                (i32.lt_s (local.tee 67 (i32.add (local.get 67) (i32.const 1))) (local.get 14)))
            end
          end
          (local.set 70 (i32.shl (local.get 14) (i32.const 2)))
          (i32.lt_s (local.get 70) (local.get 8))
          if
            (local.set 71 (i32.add (local.get 5) (i32.shl (local.get 18) (i32.const 2))))
            (local.set 72 (i32.add (local.get 71) (i32.shl (local.get 70) (i32.const 2))))
            loop
              (f32.store (local.get 72) (f32.div (f32.load (local.get 72)) (local.get 64)))
              (local.set 72 (i32.add (local.get 72) (i32.const 4)))
              (br_if 0
                (i32.lt_s (local.tee 70 (i32.add (local.get 70) (i32.const 1))) (local.get 8)))
            end
          end
          (br_if 0
            (i32.lt_s (local.tee 15 (i32.add (local.get 15) (i32.const 1))) (local.get 13)))
        end
      end
      (br_if 0 (i32.lt_s (local.tee 9 (i32.add (local.get 9) (i32.const 1))) (local.get 2)))
    end
  end
)
