(func (;0;) (type 0)
  (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
  (local i32)
  (local v128 v128 v128 v128 v128 v128 v128 v128)
  (local i32 i32 i32 i32 i32)
  (local v128 v128 v128 v128 v128 v128 v128 v128)
  (local i32 i32 i32 i32)
  (local v128 v128 v128 v128)
  (local i32 i32 i32 i32 i32)
  (local v128 v128 v128 v128 v128 v128)
  (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
  (local v128)
  (local.set 4 (i32.load (local.get 0)))
  (local.set 5 (i32.load offset=4 (local.get 0)))
  (local.set 6 (i32.load offset=8 (local.get 0)))
  (local.set 7 (i32.load offset=12 (local.get 0)))
  (local.set 8 (i32.load offset=16 (local.get 0)))
  (local.set 9 (i32.load (local.get 8)))
  (local.set 10 (local.get 1))
  (i32.lt_s (local.get 10) (local.get 2))
  if
    loop
      (local.set 11 (i32.shl (local.get 10) (i32.const 2)))
      (i32.add (i32.sub (i32.const 0) (local.get 11)) (local.get 9))
      (local.set 12 (i32.const 4))
      local.tee 8
      (local.get 12)
      (i32.lt_s (local.get 8) (local.get 12))
      select
      local.set 13
      (local.set 14 (select (i32.const 0) (local.get 13) (i32.lt_s (local.get 9) (i32.const 2))))
      (local.set 15 (i32.const 0))
      (local.set 16 (i32.mul (local.get 15) (i32.const 48)))
      (local.set 17 (i32.const 0))
      (i32.lt_s (local.get 17) (local.get 14))
      if
        loop
          (i32.add (local.get 11) (local.get 17))
          (local.set 8 (i32.add (local.get 9) (i32.const -2)))
          local.tee 12
          (local.get 8)
          (i32.lt_s (local.get 12) (local.get 8))
          select
          local.set 18
          (local.set 19 (i32.mul (local.get 18) (i32.const 6)))
          (local.set 20
            (i32.add
              (i32.shl (local.get 15) (i32.const 3)) (i32.shl (local.get 17) (i32.const 3))))
          (local.set 21 (v128.const i32x4 0 0 0 0))
          (local.set 22 (v128.const i32x4 0 0 0 0))
          (local.set 23 (v128.const i32x4 0 0 0 0))
          (local.set 24 (v128.const i32x4 0 0 0 0))
          (local.set 25 (v128.const i32x4 0 0 0 0))
          (local.set 26 (v128.const i32x4 0 0 0 0))
          (local.set 27 (v128.const i32x4 0 0 0 0))
          (local.set 28 (v128.const i32x4 0 0 0 0))
          (local.set 29 (i32.const 0))
          (local.set 30 (i32.add (local.get 5) (i32.shl (local.get 16) (i32.const 2))))
          (local.set 31 (local.get 30))
          (local.set 32 (i32.add (local.get 4) (i32.shl (local.get 19) (i32.const 2))))
          (local.set 33 (local.get 32))
          loop
            (local.set 34 (v128.load align=4 (local.get 31)))
            (local.set 35 (v128.load offset=16 align=4 (local.get 31)))
            (local.set 36 (v128.load32_splat (local.get 33)))
            (local.set 21 (f32x4.relaxed_madd (local.get 36) (local.get 34) (local.get 21)))
            (local.set 22 (f32x4.relaxed_madd (local.get 36) (local.get 35) (local.get 22)))
            (local.set 37 (v128.load32_splat offset=24 (local.get 33)))
            (local.set 23 (f32x4.relaxed_madd (local.get 37) (local.get 34) (local.get 23)))
            (local.set 24 (f32x4.relaxed_madd (local.get 37) (local.get 35) (local.get 24)))
            (local.set 38 (v128.load offset=32 align=4 (local.get 31)))
            (local.set 39 (v128.load offset=48 align=4 (local.get 31)))
            (local.set 40 (v128.load32_splat offset=4 (local.get 33)))
            (local.set 25 (f32x4.relaxed_madd (local.get 40) (local.get 38) (local.get 25)))
            (local.set 26 (f32x4.relaxed_madd (local.get 40) (local.get 39) (local.get 26)))
            (local.set 41 (v128.load32_splat offset=28 (local.get 33)))
            (local.set 27 (f32x4.relaxed_madd (local.get 41) (local.get 38) (local.get 27)))
            (local.set 28 (f32x4.relaxed_madd (local.get 41) (local.get 39) (local.get 28)))
            (local.set 31 (i32.add (local.get 31) (i32.const 64)))
            (local.set 33 (i32.add (local.get 33) (i32.const 8)))
            (br_if 0
              (i32.lt_s (local.tee 29 (i32.add (local.get 29) (i32.const 2))) (i32.const 6)))
          end
          (local.set 21 (f32x4.add (local.get 21) (local.get 25)))
          (local.set 22 (f32x4.add (local.get 22) (local.get 26)))
          (local.set 23 (f32x4.add (local.get 23) (local.get 27)))
          (local.set 24 (f32x4.add (local.get 24) (local.get 28)))
          (local.set 42 (i32.add (local.get 3) (i32.shl (local.get 20) (i32.const 2))))
          (v128.store align=4 (local.get 42) (local.get 21))
          (v128.store offset=16 align=4 (local.get 42) (local.get 22))
          (v128.store offset=32 align=4 (local.get 42) (local.get 23))
          (v128.store offset=48 align=4 (local.get 42) (local.get 24))
          (br_if 0
            (i32.lt_s (local.tee 17 (i32.add (local.get 17) (i32.const 2))) (local.get 14)))
        end
      end
      (local.set 43 (local.get 14))
      (i32.lt_s (local.get 43) (local.get 13))
      if
        loop
          (local.set 44
            (i32.add
              (i32.mul (local.get 11) (i32.const 6)) (i32.mul (local.get 43) (i32.const 6))))
          (local.set 45
            (i32.add
              (i32.shl (local.get 15) (i32.const 3)) (i32.shl (local.get 43) (i32.const 3))))
          (local.set 46 (v128.const i32x4 0 0 0 0))
          (local.set 47 (v128.const i32x4 0 0 0 0))
          (local.set 48 (v128.const i32x4 0 0 0 0))
          (local.set 49 (v128.const i32x4 0 0 0 0))
          (local.set 50 (i32.const 0))
          (local.set 51 (i32.add (local.get 5) (i32.shl (local.get 16) (i32.const 2))))
          (local.set 52 (local.get 51))
          (local.set 53 (i32.add (local.get 4) (i32.shl (local.get 44) (i32.const 2))))
          (local.set 54 (local.get 53))
          loop
            (local.set 55 (v128.load align=4 (local.get 52)))
            (local.set 56 (v128.load offset=16 align=4 (local.get 52)))
            (local.set 57 (v128.load32_splat (local.get 54)))
            (local.set 46 (f32x4.relaxed_madd (local.get 57) (local.get 55) (local.get 46)))
            (local.set 47 (f32x4.relaxed_madd (local.get 57) (local.get 56) (local.get 47)))
            (local.set 58 (v128.load offset=32 align=4 (local.get 52)))
            (local.set 59 (v128.load offset=48 align=4 (local.get 52)))
            (local.set 60 (v128.load32_splat offset=4 (local.get 54)))
            (local.set 48 (f32x4.relaxed_madd (local.get 60) (local.get 58) (local.get 48)))
            (local.set 49 (f32x4.relaxed_madd (local.get 60) (local.get 59) (local.get 49)))
            (local.set 52 (i32.add (local.get 52) (i32.const 64)))
            (local.set 54 (i32.add (local.get 54) (i32.const 8)))
            (br_if 0
              (i32.lt_s (local.tee 50 (i32.add (local.get 50) (i32.const 2))) (i32.const 6)))
          end
          (local.set 46 (f32x4.add (local.get 46) (local.get 48)))
          (local.set 47 (f32x4.add (local.get 47) (local.get 49)))
          (local.set 61 (i32.add (local.get 3) (i32.shl (local.get 45) (i32.const 2))))
          (v128.store align=4 (local.get 61) (local.get 46))
          (v128.store offset=16 align=4 (local.get 61) (local.get 47))
          (br_if 0
            (i32.lt_s (local.tee 43 (i32.add (local.get 43) (i32.const 1))) (local.get 13)))
        end
      end
      (local.set 62 (i32.shr_s (i32.add (local.get 14) (i32.const 1)) (i32.const 1)))
      (local.set 63 (i32.shl (local.get 62) (i32.const 1)))
      (local.set 64
        (i32.add (i32.sub (i32.const 0) (local.get 14)) (i32.shl (local.get 62) (i32.const 1))))
      (local.set 65 (i32.const 0))
      (i32.lt_s (local.get 65) (local.get 13))
      if
        loop
          (local.set 66
            (select
              (i32.const 0) (local.get 64)
              (i32.lt_s (local.get 65) (i32.add (local.get 63) (i32.const -2)))))
          (local.set 67
            (i32.add
              (i32.shl (local.get 66) (i32.const 3)) (i32.shl (local.get 65) (i32.const 3))))
          (local.set 68 (i32.add (local.get 11) (local.get 65)))
          (local.set 69 (i32.shl (local.get 68) (i32.const 3)))
          (local.set 70 (i32.const 0))
          (local.set 71 (i32.add (local.get 3) (i32.shl (local.get 67) (i32.const 2))))
          (local.set 72 (local.get 71))
          (local.set 73 (i32.add (local.get 7) (i32.shl (local.get 69) (i32.const 2))))
          (local.set 74 (local.get 73))
          (local.set 75 (local.get 6))
          loop
            (local.set 76 (v128.load align=4 (local.get 72)))
            (v128.store align=4
              (local.get 74) (f32x4.add (local.get 76) (v128.load align=4 (local.get 75))))
            (local.set 72 (i32.add (local.get 72) (i32.const 16)))
            (local.set 74 (i32.add (local.get 74) (i32.const 16)))
            (local.set 75 (i32.add (local.get 75) (i32.const 16)))
            (br_if 0
              (i32.lt_s (local.tee 70 (i32.add (local.get 70) (i32.const 1))) (i32.const 2)))
          end
          (br_if 0
            (i32.lt_s (local.tee 65 (i32.add (local.get 65) (i32.const 1))) (local.get 13)))
        end
      end
      (br_if 0 (i32.lt_s (local.tee 10 (i32.add (local.get 10) (i32.const 1))) (local.get 2)))
    end
  end
)
