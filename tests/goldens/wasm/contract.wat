(func (;0;) (type 0)
  (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
  (local i32 i32 i32 i32 i32 i32)
  (local v128 v128 v128 v128 v128 v128 v128 v128)
  (local i32 i32 i32 i32 i32 i32 i32 i32)
  (local f32)
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
      (local.get 14)
      (local.set 8 (i32.const 2))
      local.tee 12
      (local.get 8)
      (i32.gt_s (local.get 12) (local.get 8))
      select
      local.set 15
      (local.set 16 (i32.const 0))
      (local.set 17 (i32.mul (local.get 16) (i32.const 48)))
      (local.set 18 (i32.add (i32.div_u (i32.const 15) (local.get 15)) (i32.const 1)))
      (local.set 19 (i32.sub (i32.const 0) (i32.mul (local.get 18) (i32.const 6))))
      (local.set 20 (i32.const 0))
      (i32.lt_s (local.get 20) (local.get 14))
      if
        loop
          (i32.add (local.get 11) (local.get 20))
          (local.set 12 (i32.add (local.get 9) (i32.const -2)))
          local.tee 8
          (local.get 12)
          (i32.lt_s (local.get 8) (local.get 12))
          select
          local.set 21
          (local.set 22 (i32.mul (local.get 21) (i32.const 6)))
          (local.set 23 (i32.shr_s (local.get 20) (i32.const 1)))
          (i32.add
            (i32.add
              (local.get 17) (i32.mul (i32.mul (local.get 23) (local.get 18)) (i32.const 6)))
            (i32.const 96))
          (local.set 8 (i32.add (local.get 19) (i32.const 48)))
          local.tee 12
          (local.get 8)
          (i32.lt_s (local.get 12) (local.get 8))
          select
          local.set 24
          (local.set 25
            (i32.add
              (i32.shl (local.get 16) (i32.const 3)) (i32.shl (local.get 20) (i32.const 3))))
          (local.set 26 (v128.const i32x4 0 0 0 0))
          (local.set 27 (v128.const i32x4 0 0 0 0))
          (local.set 28 (v128.const i32x4 0 0 0 0))
          (local.set 29 (v128.const i32x4 0 0 0 0))
          (local.set 30 (v128.const i32x4 0 0 0 0))
          (local.set 31 (v128.const i32x4 0 0 0 0))
          (local.set 32 (v128.const i32x4 0 0 0 0))
          (local.set 33 (v128.const i32x4 0 0 0 0))
          (local.set 34 (i32.const 0))
          (local.set 35 (i32.add (local.get 5) (i32.shl (local.get 24) (i32.const 2))))
          (local.get 35)
          (local.set 37 (i32.shl (local.get 18) (i32.const 2)))
          local.set 36
          (local.set 37 (i32.mul (local.get 37) (i32.const 2)))
          (local.set 38 (i32.add (local.get 5) (i32.shl (local.get 17) (i32.const 2))))
          (local.set 39 (local.get 38))
          (local.set 40 (i32.add (local.get 4) (i32.shl (local.get 22) (i32.const 2))))
          (local.set 41 (local.get 40))
          loop
            (local.set 42 (f32.load (local.get 36)))
            (local.set 43 (v128.load align=4 (local.get 39)))
            (local.set 44 (v128.load offset=16 align=4 (local.get 39)))
            (local.set 45 (v128.load32_splat (local.get 41)))
            (local.set 26 (f32x4.relaxed_madd (local.get 45) (local.get 43) (local.get 26)))
            (local.set 27 (f32x4.relaxed_madd (local.get 45) (local.get 44) (local.get 27)))
            (local.set 46 (v128.load32_splat offset=24 (local.get 41)))
            (local.set 28 (f32x4.relaxed_madd (local.get 46) (local.get 43) (local.get 28)))
            (local.set 29 (f32x4.relaxed_madd (local.get 46) (local.get 44) (local.get 29)))
            (local.set 47 (v128.load offset=32 align=4 (local.get 39)))
            (local.set 48 (v128.load offset=48 align=4 (local.get 39)))
            (local.set 49 (v128.load32_splat offset=4 (local.get 41)))
            (local.set 30 (f32x4.relaxed_madd (local.get 49) (local.get 47) (local.get 30)))
            (local.set 31 (f32x4.relaxed_madd (local.get 49) (local.get 48) (local.get 31)))
            (local.set 50 (v128.load32_splat offset=28 (local.get 41)))
            (local.set 32 (f32x4.relaxed_madd (local.get 50) (local.get 47) (local.get 32)))
            (local.set 33 (f32x4.relaxed_madd (local.get 50) (local.get 48) (local.get 33)))
            (local.set 36 (i32.add (local.get 36) (local.get 37)))
            (local.set 39 (i32.add (local.get 39) (i32.const 64)))
            (local.set 41 (i32.add (local.get 41) (i32.const 8)))
            (br_if 0
              (i32.lt_s (local.tee 34 (i32.add (local.get 34) (i32.const 2))) (i32.const 6)))
          end
          (local.set 26 (f32x4.add (local.get 26) (local.get 30)))
          (local.set 27 (f32x4.add (local.get 27) (local.get 31)))
          (local.set 28 (f32x4.add (local.get 28) (local.get 32)))
          (local.set 29 (f32x4.add (local.get 29) (local.get 33)))
          (local.set 51 (i32.add (local.get 3) (i32.shl (local.get 25) (i32.const 2))))
          (v128.store align=4 (local.get 51) (local.get 26))
          (v128.store offset=16 align=4 (local.get 51) (local.get 27))
          (v128.store offset=32 align=4 (local.get 51) (local.get 28))
          (v128.store offset=48 align=4 (local.get 51) (local.get 29))
          (br_if 0
            (i32.lt_s (local.tee 20 (i32.add (local.get 20) (i32.const 2))) (local.get 14)))
        end
      end
      (local.set 52 (local.get 14))
      (i32.lt_s (local.get 52) (local.get 13))
      if
        loop
          (local.set 53
            (i32.add
              (i32.mul (local.get 11) (i32.const 6)) (i32.mul (local.get 52) (i32.const 6))))
          (local.set 54
            (i32.add
              (i32.shl (local.get 16) (i32.const 3)) (i32.shl (local.get 52) (i32.const 3))))
          (local.set 55 (v128.const i32x4 0 0 0 0))
          (local.set 56 (v128.const i32x4 0 0 0 0))
          (local.set 57 (v128.const i32x4 0 0 0 0))
          (local.set 58 (v128.const i32x4 0 0 0 0))
          (local.set 59 (i32.const 0))
          (local.set 60 (i32.add (local.get 5) (i32.shl (local.get 17) (i32.const 2))))
          (local.set 61 (local.get 60))
          (local.set 62 (i32.add (local.get 4) (i32.shl (local.get 53) (i32.const 2))))
          (local.set 63 (local.get 62))
          loop
            (local.set 64 (v128.load align=4 (local.get 61)))
            (local.set 65 (v128.load offset=16 align=4 (local.get 61)))
            (local.set 66 (v128.load32_splat (local.get 63)))
            (local.set 55 (f32x4.relaxed_madd (local.get 66) (local.get 64) (local.get 55)))
            (local.set 56 (f32x4.relaxed_madd (local.get 66) (local.get 65) (local.get 56)))
            (local.set 67 (v128.load offset=32 align=4 (local.get 61)))
            (local.set 68 (v128.load offset=48 align=4 (local.get 61)))
            (local.set 69 (v128.load32_splat offset=4 (local.get 63)))
            (local.set 57 (f32x4.relaxed_madd (local.get 69) (local.get 67) (local.get 57)))
            (local.set 58 (f32x4.relaxed_madd (local.get 69) (local.get 68) (local.get 58)))
            (local.set 61 (i32.add (local.get 61) (i32.const 64)))
            (local.set 63 (i32.add (local.get 63) (i32.const 8)))
            (br_if 0
              (i32.lt_s (local.tee 59 (i32.add (local.get 59) (i32.const 2))) (i32.const 6)))
          end
          (local.set 55 (f32x4.add (local.get 55) (local.get 57)))
          (local.set 56 (f32x4.add (local.get 56) (local.get 58)))
          (local.set 70 (i32.add (local.get 3) (i32.shl (local.get 54) (i32.const 2))))
          (v128.store align=4 (local.get 70) (local.get 55))
          (v128.store offset=16 align=4 (local.get 70) (local.get 56))
          (br_if 0
            (i32.lt_s (local.tee 52 (i32.add (local.get 52) (i32.const 1))) (local.get 13)))
        end
      end
      (local.set 71 (i32.shr_s (i32.add (local.get 14) (i32.const 1)) (i32.const 1)))
      (local.set 72 (i32.shl (local.get 71) (i32.const 1)))
      (local.set 73
        (i32.add (i32.sub (i32.const 0) (local.get 14)) (i32.shl (local.get 71) (i32.const 1))))
      (local.set 74 (i32.const 0))
      (i32.lt_s (local.get 74) (local.get 13))
      if
        loop
          (local.set 75
            (select
              (i32.const 0) (local.get 73)
              (i32.lt_s (local.get 74) (i32.add (local.get 72) (i32.const -2)))))
          (local.set 76
            (i32.add
              (i32.shl (local.get 75) (i32.const 3)) (i32.shl (local.get 74) (i32.const 3))))
          (local.set 77 (i32.add (local.get 11) (local.get 74)))
          (local.set 78 (i32.shl (local.get 77) (i32.const 3)))
          (local.set 79 (i32.const 0))
          (local.set 80 (i32.add (local.get 3) (i32.shl (local.get 76) (i32.const 2))))
          (local.set 81 (local.get 80))
          (local.set 82 (i32.add (local.get 7) (i32.shl (local.get 78) (i32.const 2))))
          (local.set 83 (local.get 82))
          (local.set 84 (local.get 6))
          loop
            (local.set 85 (v128.load align=4 (local.get 81)))
            (v128.store align=4
              (local.get 83) (f32x4.add (local.get 85) (v128.load align=4 (local.get 84))))
            (local.set 81 (i32.add (local.get 81) (i32.const 16)))
            (local.set 83 (i32.add (local.get 83) (i32.const 16)))
            (local.set 84 (i32.add (local.get 84) (i32.const 16)))
            (br_if 0
              (i32.lt_s (local.tee 79 (i32.add (local.get 79) (i32.const 1))) (i32.const 2)))
          end
          (br_if 0
            (i32.lt_s (local.tee 74 (i32.add (local.get 74) (i32.const 1))) (local.get 13)))
        end
      end
      (br_if 0 (i32.lt_s (local.tee 10 (i32.add (local.get 10) (i32.const 1))) (local.get 2)))
    end
  end
)
