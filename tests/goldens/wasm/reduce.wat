(func (;0;) (type 0)
  (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
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
  (local.set 43 (v128.const f32x4 90.0 90.0 90.0 90.0))
  (local.set 44 (v128.const f32x4 -176.0 -176.0 -176.0 -176.0))
  (local.set 45 (v128.const f32x4 0.7213475 0.7213475 0.7213475 0.7213475))
  (local.set 46 (v128.const f32x4 1.2583039e+07 1.2583039e+07 1.2583039e+07 1.2583039e+07))
  (local.set 47 (v128.const f32x4 6.389237e-05 6.389237e-05 6.389237e-05 6.389237e-05))
  (local.set 48 (v128.const f32x4 1.3862305 1.3862305 1.3862305 1.3862305))
  (local.set 49 (v128.const f32x4 2.1594893e-05 2.1594893e-05 2.1594893e-05 2.1594893e-05))
  (local.set 50 (v128.const f32x4 0.00026152117 0.00026152117 0.00026152117 0.00026152117))
  (local.set 51 (v128.const f32x4 0.0026042666 0.0026042666 0.0026042666 0.0026042666))
  (local.set 52 (v128.const f32x4 0.020833151 0.020833151 0.020833151 0.020833151))
  (local.set 53 (v128.const f32x4 0.124999985 0.124999985 0.124999985 0.124999985))
  (local.set 54 (v128.const f32x4 0.5 0.5 0.5 0.5))
  (local.set 55 (v128.const f32x4 1.0 1.0 1.0 1.0))
  (local.set 4 (i32.load (local.get 0)))
  (local.set 5 (i32.load offset=4 (local.get 0)))
  (local.set 6 (i32.load offset=8 (local.get 0)))
  (local.set 7 (i32.load (local.get 6)))
  (local.set 8 (i32.load offset=4 (local.get 6)))
  (local.set 9 (local.get 1))
  (i32.lt_s (local.get 9) (local.get 2))
  if
    loop
      (local.get 8)
      (local.set 10 (i32.const 1))
      local.tee 6
      (local.get 10)
      (i32.gt_s (local.get 6) (local.get 10))
      select
      local.set 11
      (local.set 12 (i32.div_u (i32.const 4096) (local.get 11)))
      (local.get 12)
      (local.set 6 (i32.const 1))
      local.tee 10
      (local.get 6)
      (i32.gt_s (local.get 10) (local.get 6))
      select
      local.set 13
      (i32.add (local.get 13) (i32.mul (local.get 13) (local.get 9)))
      (local.set 10 (i32.mul (local.get 7) (local.get 8)))
      local.tee 6
      (local.get 10)
      (i32.lt_s (local.get 6) (local.get 10))
      select
      local.set 14
      (local.set 15 (i32.shr_s (local.get 8) (i32.const 2)))
      (local.set 16 (i32.mul (local.get 13) (local.get 9)))
      (i32.lt_s (local.get 16) (local.get 14))
      if
        loop
          (local.set 17 (v128.const i32x4 0xff800000 0xff800000 0xff800000 0xff800000))
          (local.set 18 (f32.const -inf))
          (local.set 19 (i32.mul (local.get 16) (local.get 8)))
          (local.set 20 (i32.const 0))
          (i32.lt_s (local.get 20) (local.get 15))
          if
            (local.set 21 (i32.add (local.get 4) (i32.shl (local.get 19) (i32.const 2))))
            (local.set 22 (local.get 21))
            loop
              (local.set 17 (f32x4.max (local.get 17) (v128.load align=4 (local.get 22))))
              (local.set 22 (i32.add (local.get 22) (i32.const 16)))
              (br_if 0
                (i32.lt_s (local.tee 20 (i32.add (local.get 20) (i32.const 1))) (local.get 15)))
            end
          end
          (local.set 23 (i32.shl (local.get 15) (i32.const 2)))
          (i32.lt_s (local.get 23) (local.get 8))
          if
            (local.set 24 (i32.add (local.get 4) (i32.shl (local.get 19) (i32.const 2))))
            (local.set 25 (i32.add (local.get 24) (i32.shl (local.get 23) (i32.const 2))))
            loop
              (local.set 18 (f32.max (local.get 18) (f32.load (local.get 25))))
              (local.set 25 (i32.add (local.get 25) (i32.const 4)))
              (br_if 0
                (i32.lt_s (local.tee 23 (i32.add (local.get 23) (i32.const 1))) (local.get 8)))
            end
          end
          (local.set 26 (local.get 17))
          (local.set 27
            (f32.max
              (f32.max
                (f32.max
                  (f32x4.extract_lane 0 (local.get 26)) (f32x4.extract_lane 1 (local.get 26)))
                (f32.max
                  (f32x4.extract_lane 2 (local.get 26)) (f32x4.extract_lane 3 (local.get 26))))
              (local.get 18)))
          (local.set 28 (v128.const i32x4 0 0 0 0))
          (local.set 29 (f32.const 0.0))
          (local.set 30 (f32x4.splat (local.get 27)))
          (local.set 31 (local.get 30))
          (local.set 32 (i32.const 0))
          (i32.lt_s (local.get 32) (local.get 15))
          if
            (local.set 33 (i32.add (local.get 4) (i32.shl (local.get 19) (i32.const 2))))
            (local.set 34 (local.get 33))
            (local.set 35 (i32.add (local.get 5) (i32.shl (local.get 19) (i32.const 2))))
            (local.set 36 (local.get 35))
            loop
              (local.set 37 (f32x4.sub (v128.load align=4 (local.get 34)) (local.get 31)))
              (local.set 38
                (f32x4.pmax (f32x4.pmin (local.get 37) (local.get 43)) (local.get 44)))
              (local.set 39 (f32x4.relaxed_madd (local.get 38) (local.get 45) (local.get 46)))
              (local.set 40 (f32x4.sub (local.get 39) (local.get 46)))
              (local.set 41
                (f32x4.relaxed_nmadd
                  (local.get 40) (local.get 47)
                  (f32x4.relaxed_nmadd (local.get 40) (local.get 48) (local.get 38))))
              (local.set 42
                (f32x4.mul
                  (f32x4.relaxed_madd
                    (f32x4.relaxed_madd
                      (f32x4.relaxed_madd
                        (f32x4.relaxed_madd
                          (f32x4.relaxed_madd
                            (f32x4.relaxed_madd (local.get 41) (local.get 49) (local.get 50))
                            (local.get 41) (local.get 51))
                          (local.get 41) (local.get 52))
                        (local.get 41) (local.get 53))
                      (local.get 41) (local.get 54))
                    (local.get 41) (local.get 55))
                  (i32x4.shl (local.get 39) (i32.const 23))))
              (local.set 56 (f32x4.mul (local.get 42) (local.get 42)))
              (v128.store align=4 (local.get 36) (local.get 56))
              (local.set 28 (f32x4.add (local.get 28) (local.get 56)))
              (local.set 34 (i32.add (local.get 34) (i32.const 16)))
              (local.set 36 (i32.add (local.get 36) (i32.const 16)))
              (br_if 0
                (i32.lt_s (local.tee 32 (i32.add (local.get 32) (i32.const 1))) (local.get 15)))
            end
          end
          (local.set 57 (i32.shl (local.get 15) (i32.const 2)))
          (i32.lt_s (local.get 57) (local.get 8))
          if
            (local.set 58 (i32.add (local.get 4) (i32.shl (local.get 19) (i32.const 2))))
            (local.set 59 (i32.add (local.get 58) (i32.shl (local.get 57) (i32.const 2))))
            (local.set 60 (i32.add (local.get 5) (i32.shl (local.get 19) (i32.const 2))))
            (local.set 61 (i32.add (local.get 60) (i32.shl (local.get 57) (i32.const 2))))
            loop
              (local.set 37 (f32x4.splat (f32.sub (f32.load (local.get 59)) (local.get 27))))
              (local.set 38
                (f32x4.pmax (f32x4.pmin (local.get 37) (local.get 43)) (local.get 44)))
              (local.set 39 (f32x4.relaxed_madd (local.get 38) (local.get 45) (local.get 46)))
              (local.set 40 (f32x4.sub (local.get 39) (local.get 46)))
              (local.set 41
                (f32x4.relaxed_nmadd
                  (local.get 40) (local.get 47)
                  (f32x4.relaxed_nmadd (local.get 40) (local.get 48) (local.get 38))))
              (local.set 42
                (f32x4.mul
                  (f32x4.relaxed_madd
                    (f32x4.relaxed_madd
                      (f32x4.relaxed_madd
                        (f32x4.relaxed_madd
                          (f32x4.relaxed_madd
                            (f32x4.relaxed_madd (local.get 41) (local.get 49) (local.get 50))
                            (local.get 41) (local.get 51))
                          (local.get 41) (local.get 52))
                        (local.get 41) (local.get 53))
                      (local.get 41) (local.get 54))
                    (local.get 41) (local.get 55))
                  (i32x4.shl (local.get 39) (i32.const 23))))
              (local.set 62 (f32x4.extract_lane 0 (f32x4.mul (local.get 42) (local.get 42))))
              (f32.store (local.get 61) (local.get 62))
              (local.set 29 (f32.add (local.get 29) (local.get 62)))
              (local.set 59 (i32.add (local.get 59) (i32.const 4)))
              (local.set 61 (i32.add (local.get 61) (i32.const 4)))
              (br_if 0
                (i32.lt_s (local.tee 57 (i32.add (local.get 57) (i32.const 1))) (local.get 8)))
            end
          end
          (local.set 63 (local.get 28))
          (local.set 65
            (f32.add
              (f32x4.extract_lane 0
                (f32x4.add
                  (local.tee 64
                    (f32x4.add
                      (local.tee 64 (local.get 63))
                      (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7
                        (local.get 64) (local.get 64))))
                  (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11
                    (local.get 64) (local.get 64))))
              (local.get 29)))
          (local.set 66 (f32x4.splat (local.get 65)))
          (local.set 67 (local.get 66))
          (local.set 68 (i32.const 0))
          (i32.lt_s (local.get 68) (local.get 15))
          if
            (local.set 69 (i32.add (local.get 5) (i32.shl (local.get 19) (i32.const 2))))
            (local.set 70 (local.get 69))
            loop
              (v128.store align=4
                (local.get 70) (f32x4.div (v128.load align=4 (local.get 70)) (local.get 67)))
              (local.set 70 (i32.add (local.get 70) (i32.const 16)))
              (br_if 0
                (i32.lt_s (local.tee 68 (i32.add (local.get 68) (i32.const 1))) (local.get 15)))
            end
          end
          (local.set 71 (i32.shl (local.get 15) (i32.const 2)))
          (i32.lt_s (local.get 71) (local.get 8))
          if
            (local.set 72 (i32.add (local.get 5) (i32.shl (local.get 19) (i32.const 2))))
            (local.set 73 (i32.add (local.get 72) (i32.shl (local.get 71) (i32.const 2))))
            loop
              (f32.store (local.get 73) (f32.div (f32.load (local.get 73)) (local.get 65)))
              (local.set 73 (i32.add (local.get 73) (i32.const 4)))
              (br_if 0
                (i32.lt_s (local.tee 71 (i32.add (local.get 71) (i32.const 1))) (local.get 8)))
            end
          end
          (br_if 0
            (i32.lt_s (local.tee 16 (i32.add (local.get 16) (i32.const 1))) (local.get 14)))
        end
      end
      (br_if 0 (i32.lt_s (local.tee 9 (i32.add (local.get 9) (i32.const 1))) (local.get 2)))
    end
  end
)
