(func (;0;) (type 0)
  (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
  (local i32 i32)
  (local v128)
  (local i32 i32 i32)
  (local v128 v128 v128 v128)
  (local i32 i32 i32)
  (local v128)
  (local i32)
  (local v128 v128 v128 v128)
  (local i32)
  (local v128 v128)
  (local i32)
  (local v128)
  (local i32 i32 i32)
  (local v128)
  (local i32)
  (local f32 f32)
  (local v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128)
  (local v128 v128 v128)
  (local f32 f32)
  (local v128 v128)
  (local i32 i32 i32 i32)
  (local v128 v128 v128 v128)
  (local i32 i32 i32 i32)
  (local v128 v128 v128)
  (local i32 i32 i32 i32 i32)
  (local v128)
  (local i32 i32 i32 i32 i32 i32 i32 i32 i32)
  (local f32)
  (local i32 i32 i32 i32)
  (local v128 v128)
  (local i32)
  (local.set 57 (v128.const f32x4 90.0 90.0 90.0 90.0))
  (local.set 58 (v128.const f32x4 -105.0 -105.0 -105.0 -105.0))
  (local.set 59 (v128.const f32x4 0.7213475 0.7213475 0.7213475 0.7213475))
  (local.set 60 (v128.const f32x4 1.2583039e+07 1.2583039e+07 1.2583039e+07 1.2583039e+07))
  (local.set 61 (v128.const f32x4 6.389237e-05 6.389237e-05 6.389237e-05 6.389237e-05))
  (local.set 62 (v128.const f32x4 1.3862305 1.3862305 1.3862305 1.3862305))
  (local.set 63 (v128.const f32x4 2.1594893e-05 2.1594893e-05 2.1594893e-05 2.1594893e-05))
  (local.set 64 (v128.const f32x4 0.00026152117 0.00026152117 0.00026152117 0.00026152117))
  (local.set 65 (v128.const f32x4 0.0026042666 0.0026042666 0.0026042666 0.0026042666))
  (local.set 66 (v128.const f32x4 0.020833151 0.020833151 0.020833151 0.020833151))
  (local.set 67 (v128.const f32x4 0.124999985 0.124999985 0.124999985 0.124999985))
  (local.set 68 (v128.const f32x4 0.5 0.5 0.5 0.5))
  (local.set 69 (v128.const f32x4 1.0 1.0 1.0 1.0))
  (local.set 4 (i32.load (local.get 0)))
  (local.set 5 (i32.load offset=4 (local.get 0)))
  (local.set 6 (i32.load offset=8 (local.get 0)))
  (local.set 7 (i32.load offset=12 (local.get 0)))
  (local.set 8 (local.get 1))
  (i32.lt_s (local.get 8) (local.get 2))
  if
    loop
      (local.set 9 (i32.const 0))
      (local.set 10 (i32.const 0))
      (local.set 11 (i32.const 0))
      (local.set 12 (local.get 3))
      loop
        (v128.store offset=128 align=4 (local.get 12) (v128.const i32x4 0 0 0 0))
        (local.set 12 (i32.add (local.get 12) (i32.const 16)))
        (br_if 0 (i32.lt_s (local.tee 11 (i32.add (local.get 11) (i32.const 4))) (i32.const 16)))
      end
      (local.set 13 (i32.const 0))
      (local.set 14 (local.get 3))
      loop
        (f32.store offset=256 (local.get 14) (f32.const -3e+38))
        (f32.store offset=272 (local.get 14) (f32.const 0.0))
        (local.set 14 (i32.add (local.get 14) (i32.const 4)))
        (br_if 0 (i32.lt_s (local.tee 13 (i32.add (local.get 13) (i32.const 1))) (i32.const 4)))
      end
      (local.set 15
        (i32.add (i32.shl (local.get 9) (i32.const 4)) (i32.shl (local.get 10) (i32.const 2))))
      (local.set 16
        (i32.add (i32.shl (local.get 9) (i32.const 5)) (i32.shl (local.get 10) (i32.const 2))))
      (local.set 17 (i32.const 0))
      (local.set 18 (i32.shl (local.get 17) (i32.const 3)))
      (local.set 19 (i32.shr_s (local.get 18) (i32.const 2)))
      (local.set 20 (i32.const 0))
      loop
        (local.set 21 (i32.shl (local.get 20) (i32.const 3)))
        (local.set 22 (v128.const i32x4 0xff61b1e6 0xff61b1e6 0xff61b1e6 0xff61b1e6))
        (local.set 23 (i32.add (local.get 15) (i32.shl (local.get 20) (i32.const 2))))
        (local.set 24 (local.get 19))
        (local.set 25 (i32.add (local.get 19) (i32.const 2)))
        (i32.lt_s (local.get 24) (local.get 25))
        if
          loop
            (local.set 26 (v128.const i32x4 0 0 0 0))
            (local.set 27 (v128.const i32x4 0 0 0 0))
            (local.set 28 (v128.const i32x4 0 0 0 0))
            (local.set 29 (v128.const i32x4 0 0 0 0))
            (local.set 30 (i32.add (local.get 16) (i32.shl (local.get 24) (i32.const 4))))
            (local.set 31 (i32.const 0))
            (local.set 32
              (i32.add
                (i32.add (local.get 4) (i32.shl (local.get 23) (i32.const 2)))
                (i32.shl (local.get 31) (i32.const 4))))
            (local.set 33 (v128.load align=4 (local.get 32)))
            (local.get 33)
            (local.set 34
              (i32.add
                (i32.add (local.get 5) (i32.shl (local.get 30) (i32.const 2)))
                (i32.shl (local.get 31) (i32.const 4))))
            (v128.load align=4 (local.get 34))
            (local.get 26)
            f32x4.relaxed_madd
            local.set 26
            (local.set 27
              (f32x4.relaxed_madd
                (local.get 33) (v128.load offset=16 align=4 (local.get 34)) (local.get 27)))
            (local.set 28
              (f32x4.relaxed_madd
                (local.get 33) (v128.load offset=32 align=4 (local.get 34)) (local.get 28)))
            (local.set 29
              (f32x4.relaxed_madd
                (local.get 33) (v128.load offset=48 align=4 (local.get 34)) (local.get 29)))
            (local.set 35
              (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23
                (local.get 26) (local.get 27)))
            (local.set 36
              (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31
                (local.get 26) (local.get 27)))
            (local.set 37
              (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23
                (local.get 28) (local.get 29)))
            (local.set 38
              (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31
                (local.get 28) (local.get 29)))
            (local.set 39 (i32.shl (local.get 24) (i32.const 2)))
            (local.set 40
              (f32x4.mul
                (f32x4.add
                  (f32x4.add
                    (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
                      (local.get 35) (local.get 37))
                    (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31
                      (local.get 35) (local.get 37)))
                  (f32x4.add
                    (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
                      (local.get 36) (local.get 38))
                    (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31
                      (local.get 36) (local.get 38))))
                (v128.const f32x4 0.5 0.5 0.5 0.5)))
            (local.set 41
              (f32x4.pmax
                (local.get 40) (v128.const i32x4 0xff61b1e6 0xff61b1e6 0xff61b1e6 0xff61b1e6)))
            (local.set 42
              (i32.add
                (i32.add
                  (i32.sub (local.get 3) (i32.shl (local.get 18) (i32.const 2)))
                  (i32.shl (local.get 24) (i32.const 4)))
                (i32.shl (local.get 21) (i32.const 2))))
            (v128.store align=4 (local.get 42) (local.get 41))
            (local.set 43 (f32x4.pmax (local.get 22) (local.get 41)))
            (local.set 22 (local.get 43))
            (br_if 0
              (i32.lt_s (local.tee 24 (i32.add (local.get 24) (i32.const 1))) (local.get 25)))
          end
        end
        (local.set 44 (i32.add (local.get 3) (i32.shl (local.get 20) (i32.const 4))))
        (v128.store offset=192 align=4 (local.get 44) (local.get 22))
        (br_if 0 (i32.lt_s (local.tee 20 (i32.add (local.get 20) (i32.const 1))) (i32.const 4)))
      end
      (local.set 45 (i32.const 0))
      loop
        (local.set 46 (i32.add (local.get 3) (i32.shl (local.get 45) (i32.const 4))))
        (local.set 47 (v128.load offset=192 align=4 (local.get 46)))
        (local.set 48 (i32.add (local.get 3) (i32.shl (local.get 45) (i32.const 2))))
        (local.set 49 (f32.load offset=256 (local.get 48)))
        (local.set 50
          (f32.max
            (local.get 49)
            (f32.max
              (f32.max
                (f32x4.extract_lane 0 (local.get 47)) (f32x4.extract_lane 1 (local.get 47)))
              (f32.max
                (f32x4.extract_lane 2 (local.get 47)) (f32x4.extract_lane 3 (local.get 47))))))
        (f32.gt (local.get 50) (local.get 49))
        if
          (f32.store offset=256 (local.get 48) (local.get 50))
          (i32.gt_s (local.get 18) (i32.const 0))
          if
            (local.set 51 (f32x4.splat (f32.sub (local.get 49) (local.get 50))))
            (local.set 52 (f32x4.pmax (f32x4.pmin (local.get 51) (local.get 57)) (local.get 58)))
            (local.set 53 (f32x4.relaxed_madd (local.get 52) (local.get 59) (local.get 60)))
            (local.set 54 (f32x4.sub (local.get 53) (local.get 60)))
            (local.set 55
              (f32x4.relaxed_nmadd
                (local.get 54) (local.get 61)
                (f32x4.relaxed_nmadd (local.get 54) (local.get 62) (local.get 52))))
            (local.set 56
              (f32x4.mul
                (f32x4.relaxed_madd
                  (f32x4.relaxed_madd
                    (f32x4.relaxed_madd
                      (f32x4.relaxed_madd
                        (f32x4.relaxed_madd
                          (f32x4.relaxed_madd (local.get 55) (local.get 63) (local.get 64))
                          (local.get 55) (local.get 65))
                        (local.get 55) (local.get 66))
                      (local.get 55) (local.get 67))
                    (local.get 55) (local.get 68))
                  (local.get 55) (local.get 69))
                (i32x4.shl (local.get 53) (i32.const 23))))
            (local.set 71
              (local.tee 70 (f32x4.extract_lane 0 (f32x4.mul (local.get 56) (local.get 56)))))
            (f32.store offset=272
              (local.get 48) (f32.mul (f32.load offset=272 (local.get 48)) (local.get 71)))
            (local.set 72 (f32x4.splat (local.get 71)))
            (local.set 73 (local.get 72))
            (local.set 74 (i32.shl (local.get 45) (i32.const 2)))
            (local.set 75 (local.get 74))
            (local.set 76 (i32.add (local.get 74) (i32.const 4)))
            (i32.lt_s (local.get 75) (local.get 76))
            if
              (local.set 77 (i32.add (local.get 3) (i32.shl (local.get 75) (i32.const 2))))
              loop
                (v128.store offset=128 align=4
                  (local.get 77)
                  (f32x4.mul (v128.load offset=128 align=4 (local.get 77)) (local.get 73)))
                (local.set 77 (i32.add (local.get 77) (i32.const 16)))
                (br_if 0
                  (i32.lt_s (local.tee 75 (i32.add (local.get 75) (i32.const 4))) (local.get 76)))
              end
            end
          end
        end
        (local.set 78 (f32x4.splat (local.get 50)))
        (local.set 79 (local.get 78))
        (local.set 80 (v128.const i32x4 0 0 0 0))
        (local.set 81 (v128.const i32x4 0 0 0 0))
        (local.set 82 (i32.shl (local.get 45) (i32.const 3)))
        (local.set 83 (local.get 82))
        (local.set 84 (i32.add (local.get 82) (i32.const 8)))
        (i32.lt_s (local.get 83) (local.get 84))
        if
          (local.set 85 (i32.add (local.get 3) (i32.shl (local.get 83) (i32.const 2))))
          loop
            (local.set 51 (f32x4.sub (v128.load align=4 (local.get 85)) (local.get 79)))
            (local.set 52 (f32x4.pmax (f32x4.pmin (local.get 51) (local.get 57)) (local.get 58)))
            (local.set 53 (f32x4.relaxed_madd (local.get 52) (local.get 59) (local.get 60)))
            (local.set 54 (f32x4.sub (local.get 53) (local.get 60)))
            (local.set 55
              (f32x4.relaxed_nmadd
                (local.get 54) (local.get 61)
                (f32x4.relaxed_nmadd (local.get 54) (local.get 62) (local.get 52))))
            (local.set 56
              (f32x4.mul
                (f32x4.relaxed_madd
                  (f32x4.relaxed_madd
                    (f32x4.relaxed_madd
                      (f32x4.relaxed_madd
                        (f32x4.relaxed_madd
                          (f32x4.relaxed_madd (local.get 55) (local.get 63) (local.get 64))
                          (local.get 55) (local.get 65))
                        (local.get 55) (local.get 66))
                      (local.get 55) (local.get 67))
                    (local.get 55) (local.get 68))
                  (local.get 55) (local.get 69))
                (i32x4.shl (local.get 53) (i32.const 23))))
            (local.set 86 (f32x4.mul (local.get 56) (local.get 56)))
            (v128.store align=4 (local.get 85) (local.get 86))
            (local.set 80 (f32x4.add (local.get 80) (local.get 86)))
            (local.set 51 (f32x4.sub (v128.load offset=16 align=4 (local.get 85)) (local.get 79)))
            (local.set 52 (f32x4.pmax (f32x4.pmin (local.get 51) (local.get 57)) (local.get 58)))
            (local.set 53 (f32x4.relaxed_madd (local.get 52) (local.get 59) (local.get 60)))
            (local.set 54 (f32x4.sub (local.get 53) (local.get 60)))
            (local.set 55
              (f32x4.relaxed_nmadd
                (local.get 54) (local.get 61)
                (f32x4.relaxed_nmadd (local.get 54) (local.get 62) (local.get 52))))
            (local.set 56
              (f32x4.mul
                (f32x4.relaxed_madd
                  (f32x4.relaxed_madd
                    (f32x4.relaxed_madd
                      (f32x4.relaxed_madd
                        (f32x4.relaxed_madd
                          (f32x4.relaxed_madd (local.get 55) (local.get 63) (local.get 64))
                          (local.get 55) (local.get 65))
                        (local.get 55) (local.get 66))
                      (local.get 55) (local.get 67))
                    (local.get 55) (local.get 68))
                  (local.get 55) (local.get 69))
                (i32x4.shl (local.get 53) (i32.const 23))))
            (local.set 87 (f32x4.mul (local.get 56) (local.get 56)))
            (v128.store offset=16 align=4 (local.get 85) (local.get 87))
            (local.set 81 (f32x4.add (local.get 81) (local.get 87)))
            (local.set 85 (i32.add (local.get 85) (i32.const 32)))
            (br_if 0
              (i32.lt_s (local.tee 83 (i32.add (local.get 83) (i32.const 8))) (local.get 84)))
          end
        end
        (f32.store offset=272
          (local.get 48)
          (f32.add
            (f32.load offset=272 (local.get 48))
            (f32x4.extract_lane 0
              (f32x4.add
                (local.tee 88
                  (f32x4.add
                    (local.tee 88 (f32x4.add (local.get 80) (local.get 81)))
                    (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7
                      (local.get 88) (local.get 88))))
                (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11
                  (local.get 88) (local.get 88))))))
        (br_if 0 (i32.lt_s (local.tee 45 (i32.add (local.get 45) (i32.const 1))) (i32.const 4)))
      end
      (local.set 89 (i32.const 0))
      loop
        (local.set 90
          (i32.add (i32.sub (i32.const 0) (local.get 18)) (i32.shl (local.get 89) (i32.const 3))))
        (local.set 91 (i32.shl (local.get 89) (i32.const 2)))
        (local.set 92 (i32.const 0))
        (local.set 93
          (i32.add
            (i32.add (local.get 3) (i32.shl (local.get 92) (i32.const 4)))
            (i32.shl (local.get 91) (i32.const 2))))
        (local.set 94 (v128.load offset=128 align=4 (local.get 93)))
        (local.set 95 (i32.add (local.get 16) (i32.shl (local.get 92) (i32.const 2))))
        (local.set 96 (local.get 18))
        (local.set 97 (i32.add (local.get 18) (i32.const 8)))
        (i32.lt_s (local.get 96) (local.get 97))
        if
          (local.set 98 (i32.add (local.get 3) (i32.shl (local.get 90) (i32.const 2))))
          (local.set 99 (i32.add (local.get 98) (i32.shl (local.get 96) (i32.const 2))))
          (local.set 100 (i32.add (local.get 6) (i32.shl (local.get 95) (i32.const 2))))
          (local.set 101 (i32.add (local.get 100) (i32.shl (local.get 96) (i32.const 4))))
          loop
            (local.set 94
              (f32x4.relaxed_madd
                (v128.load32_splat (local.get 99)) (v128.load align=4 (local.get 101))
                (local.get 94)))
            (local.set 99 (i32.add (local.get 99) (i32.const 4)))
            (local.set 101 (i32.add (local.get 101) (i32.const 16)))
            (br_if 0
              (i32.lt_s (local.tee 96 (i32.add (local.get 96) (i32.const 1))) (local.get 97)))
          end
        end
        (v128.store offset=128 align=4 (local.get 93) (local.get 94))
        (br_if 0 (i32.lt_s (local.tee 89 (i32.add (local.get 89) (i32.const 1))) (i32.const 4)))
      end
      (local.set 102 (i32.const 0))
      loop
        (f32.const 1.0)
        (local.set 103 (i32.add (local.get 3) (i32.shl (local.get 102) (i32.const 2))))
        (f32.load offset=272 (local.get 103))
        f32.div
        local.set 104
        (local.set 105 (i32.shl (local.get 102) (i32.const 2)))
        (local.set 106 (i32.add (local.get 15) (i32.shl (local.get 102) (i32.const 2))))
        (local.set 107 (i32.const 0))
        (local.set 108
          (i32.add
            (i32.add (local.get 3) (i32.shl (local.get 107) (i32.const 4)))
            (i32.shl (local.get 105) (i32.const 2))))
        (v128.load offset=128 align=4 (local.get 108))
        (local.set 109 (f32x4.splat (local.get 104)))
        (local.get 109)
        f32x4.mul
        local.set 110
        (local.set 111
          (i32.add
            (i32.add (local.get 7) (i32.shl (local.get 106) (i32.const 2)))
            (i32.shl (local.get 107) (i32.const 4))))
        (v128.store align=4 (local.get 111) (local.get 110))
        (br_if 0 (i32.lt_s (local.tee 102 (i32.add (local.get 102) (i32.const 1))) (i32.const 4)))
      end
      (br_if 0 (i32.lt_s (local.tee 8 (i32.add (local.get 8) (i32.const 1))) (local.get 2)))
    end
  end
)
