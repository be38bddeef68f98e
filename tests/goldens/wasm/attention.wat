(func (;0;) (type 0)
  (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
  (local i32)
  (local v128)
  (local i32 i32 i32)
  (local v128 v128 v128 v128)
  (local i32 i32 i32)
  (local v128)
  (local i32)
  (local v128 v128 v128 v128 v128 v128)
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
  (local i32 i32 i32 i32 i32 i32 i32)
  (local v128)
  (local i32 i32)
  (local f32)
  (local i32 i32 i32 i32)
  (local v128 v128)
  (local i32)
  (local.set 55 (v128.const f32x4 90.0 90.0 90.0 90.0))
  (local.set 56 (v128.const f32x4 -176.0 -176.0 -176.0 -176.0))
  (local.set 57 (v128.const f32x4 0.7213475 0.7213475 0.7213475 0.7213475))
  (local.set 58 (v128.const f32x4 1.2583039e+07 1.2583039e+07 1.2583039e+07 1.2583039e+07))
  (local.set 59 (v128.const f32x4 6.389237e-05 6.389237e-05 6.389237e-05 6.389237e-05))
  (local.set 60 (v128.const f32x4 1.3862305 1.3862305 1.3862305 1.3862305))
  (local.set 61 (v128.const f32x4 2.1594893e-05 2.1594893e-05 2.1594893e-05 2.1594893e-05))
  (local.set 62 (v128.const f32x4 0.00026152117 0.00026152117 0.00026152117 0.00026152117))
  (local.set 63 (v128.const f32x4 0.0026042666 0.0026042666 0.0026042666 0.0026042666))
  (local.set 64 (v128.const f32x4 0.020833151 0.020833151 0.020833151 0.020833151))
  (local.set 65 (v128.const f32x4 0.124999985 0.124999985 0.124999985 0.124999985))
  (local.set 66 (v128.const f32x4 0.5 0.5 0.5 0.5))
  (local.set 67 (v128.const f32x4 1.0 1.0 1.0 1.0))
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
      (local.set 19 (i32.const 0))
      loop
        (local.set 20 (i32.shl (local.get 19) (i32.const 3)))
        (local.set 21 (v128.const i32x4 0xff61b1e6 0xff61b1e6 0xff61b1e6 0xff61b1e6))
        (local.set 22 (i32.add (local.get 15) (i32.shl (local.get 19) (i32.const 2))))
        (local.set 23 (i32.const 0))
        loop
          (local.set 24 (i32.add (local.get 18) (i32.shl (local.get 23) (i32.const 2))))
          (local.set 25 (v128.const i32x4 0 0 0 0))
          (local.set 26 (v128.const i32x4 0 0 0 0))
          (local.set 27 (v128.const i32x4 0 0 0 0))
          (local.set 28 (v128.const i32x4 0 0 0 0))
          (local.set 29 (i32.add (local.get 16) (i32.shl (local.get 24) (i32.const 2))))
          (local.set 30 (i32.const 0))
          (local.set 31
            (i32.add
              (i32.add (local.get 4) (i32.shl (local.get 22) (i32.const 2)))
              (i32.shl (local.get 30) (i32.const 4))))
          (local.set 32 (v128.load align=4 (local.get 31)))
          (local.get 32)
          (local.set 33
            (i32.add
              (i32.add (local.get 5) (i32.shl (local.get 29) (i32.const 2)))
              (i32.shl (local.get 30) (i32.const 4))))
          (v128.load align=4 (local.get 33))
          (local.get 25)
          f32x4.relaxed_madd
          local.set 25
          (local.set 26
            (f32x4.relaxed_madd
              (local.get 32) (v128.load offset=16 align=4 (local.get 33)) (local.get 26)))
          (local.set 27
            (f32x4.relaxed_madd
              (local.get 32) (v128.load offset=32 align=4 (local.get 33)) (local.get 27)))
          (local.set 28
            (f32x4.relaxed_madd
              (local.get 32) (v128.load offset=48 align=4 (local.get 33)) (local.get 28)))
          (local.set 34
            (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get 25) (local.get 26)))
          (local.set 35
            (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31
              (local.get 25) (local.get 26)))
          (local.set 36
            (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get 27) (local.get 28)))
          (local.set 37
            (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31
              (local.get 27) (local.get 28)))
          (local.set 38
            (f32x4.mul
              (f32x4.add
                (f32x4.add
                  (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
                    (local.get 34) (local.get 36))
                  (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31
                    (local.get 34) (local.get 36)))
                (f32x4.add
                  (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
                    (local.get 35) (local.get 37))
                  (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31
                    (local.get 35) (local.get 37))))
              (v128.const f32x4 0.5 0.5 0.5 0.5)))
          (local.set 39
            (f32x4.pmax
              (local.get 38) (v128.const i32x4 0xff61b1e6 0xff61b1e6 0xff61b1e6 0xff61b1e6)))
          (local.set 40
            (i32.add
              (i32.add (local.get 3) (i32.shl (local.get 23) (i32.const 4)))
              (i32.shl (local.get 20) (i32.const 2))))
          (v128.store align=4 (local.get 40) (local.get 39))
          (local.set 41 (f32x4.pmax (local.get 21) (local.get 39)))
          (local.set 21 (local.get 41))
          (br_if 0 (i32.lt_s (local.tee 23 (i32.add (local.get 23) (i32.const 1))) (i32.const 2)))
        end
        (local.set 42 (i32.add (local.get 3) (i32.shl (local.get 19) (i32.const 4))))
        (v128.store offset=192 align=4 (local.get 42) (local.get 21))
        (br_if 0 (i32.lt_s (local.tee 19 (i32.add (local.get 19) (i32.const 1))) (i32.const 4)))
      end
      (local.set 43 (i32.const 0))
      loop
        (local.set 44 (i32.add (local.get 3) (i32.shl (local.get 43) (i32.const 4))))
        (local.set 45 (v128.load offset=192 align=4 (local.get 44)))
        (local.set 46 (i32.add (local.get 3) (i32.shl (local.get 43) (i32.const 2))))
        (local.set 47 (f32.load offset=256 (local.get 46)))
        (local.set 48
          (f32.max
            (local.get 47)
            (f32.max
              (f32.max
                (f32x4.extract_lane 0 (local.get 45)) (f32x4.extract_lane 1 (local.get 45)))
              (f32.max
                (f32x4.extract_lane 2 (local.get 45)) (f32x4.extract_lane 3 (local.get 45))))))
        (f32.gt (local.get 48) (local.get 47))
        if
          (f32.store offset=256 (local.get 46) (local.get 48))
          (i32.gt_s (local.get 18) (i32.const 0))
          if
            (local.set 49 (f32x4.splat (f32.sub (local.get 47) (local.get 48))))
            (local.set 50 (f32x4.pmax (f32x4.pmin (local.get 49) (local.get 55)) (local.get 56)))
            (local.set 51 (f32x4.relaxed_madd (local.get 50) (local.get 57) (local.get 58)))
            (local.set 52 (f32x4.sub (local.get 51) (local.get 58)))
            (local.set 53
              (f32x4.relaxed_nmadd
                (local.get 52) (local.get 59)
                (f32x4.relaxed_nmadd (local.get 52) (local.get 60) (local.get 50))))
            (local.set 54
              (f32x4.mul
                (f32x4.relaxed_madd
                  (f32x4.relaxed_madd
                    (f32x4.relaxed_madd
                      (f32x4.relaxed_madd
                        (f32x4.relaxed_madd
                          (f32x4.relaxed_madd (local.get 53) (local.get 61) (local.get 62))
                          (local.get 53) (local.get 63))
                        (local.get 53) (local.get 64))
                      (local.get 53) (local.get 65))
                    (local.get 53) (local.get 66))
                  (local.get 53) (local.get 67))
                (i32x4.shl (local.get 51) (i32.const 23))))
            (local.set 69
              (local.tee 68 (f32x4.extract_lane 0 (f32x4.mul (local.get 54) (local.get 54)))))
            (f32.store offset=272
              (local.get 46) (f32.mul (f32.load offset=272 (local.get 46)) (local.get 69)))
            (local.set 70 (f32x4.splat (local.get 69)))
            (local.set 71 (local.get 70))
            (local.set 72 (i32.shl (local.get 43) (i32.const 2)))
            (local.set 73 (local.get 72))
            (local.set 74 (i32.add (local.get 72) (i32.const 4)))
            (i32.lt_s (local.get 73) (local.get 74))
            if
              (local.set 75 (i32.add (local.get 3) (i32.shl (local.get 73) (i32.const 2))))
              loop
                (v128.store offset=128 align=4
                  (local.get 75)
                  (f32x4.mul (v128.load offset=128 align=4 (local.get 75)) (local.get 71)))
                (local.set 75 (i32.add (local.get 75) (i32.const 16)))
                (br_if 0
                  (i32.lt_s (local.tee 73 (i32.add (local.get 73) (i32.const 4))) (local.get 74)))
              end
            end
          end
        end
        (local.set 76 (f32x4.splat (local.get 48)))
        (local.set 77 (local.get 76))
        (local.set 78 (v128.const i32x4 0 0 0 0))
        (local.set 79 (v128.const i32x4 0 0 0 0))
        (local.set 80 (i32.shl (local.get 43) (i32.const 3)))
        (local.set 81 (local.get 80))
        (local.set 82 (i32.add (local.get 80) (i32.const 8)))
        (i32.lt_s (local.get 81) (local.get 82))
        if
          (local.set 83 (i32.add (local.get 3) (i32.shl (local.get 81) (i32.const 2))))
          loop
            (local.set 49 (f32x4.sub (v128.load align=4 (local.get 83)) (local.get 77)))
            (local.set 50 (f32x4.pmax (f32x4.pmin (local.get 49) (local.get 55)) (local.get 56)))
            (local.set 51 (f32x4.relaxed_madd (local.get 50) (local.get 57) (local.get 58)))
            (local.set 52 (f32x4.sub (local.get 51) (local.get 58)))
            (local.set 53
              (f32x4.relaxed_nmadd
                (local.get 52) (local.get 59)
                (f32x4.relaxed_nmadd (local.get 52) (local.get 60) (local.get 50))))
            (local.set 54
              (f32x4.mul
                (f32x4.relaxed_madd
                  (f32x4.relaxed_madd
                    (f32x4.relaxed_madd
                      (f32x4.relaxed_madd
                        (f32x4.relaxed_madd
                          (f32x4.relaxed_madd (local.get 53) (local.get 61) (local.get 62))
                          (local.get 53) (local.get 63))
                        (local.get 53) (local.get 64))
                      (local.get 53) (local.get 65))
                    (local.get 53) (local.get 66))
                  (local.get 53) (local.get 67))
                (i32x4.shl (local.get 51) (i32.const 23))))
            (local.set 84 (f32x4.mul (local.get 54) (local.get 54)))
            (v128.store align=4 (local.get 83) (local.get 84))
            (local.set 78 (f32x4.add (local.get 78) (local.get 84)))
            (local.set 49 (f32x4.sub (v128.load offset=16 align=4 (local.get 83)) (local.get 77)))
            (local.set 50 (f32x4.pmax (f32x4.pmin (local.get 49) (local.get 55)) (local.get 56)))
            (local.set 51 (f32x4.relaxed_madd (local.get 50) (local.get 57) (local.get 58)))
            (local.set 52 (f32x4.sub (local.get 51) (local.get 58)))
            (local.set 53
              (f32x4.relaxed_nmadd
                (local.get 52) (local.get 59)
                (f32x4.relaxed_nmadd (local.get 52) (local.get 60) (local.get 50))))
            (local.set 54
              (f32x4.mul
                (f32x4.relaxed_madd
                  (f32x4.relaxed_madd
                    (f32x4.relaxed_madd
                      (f32x4.relaxed_madd
                        (f32x4.relaxed_madd
                          (f32x4.relaxed_madd (local.get 53) (local.get 61) (local.get 62))
                          (local.get 53) (local.get 63))
                        (local.get 53) (local.get 64))
                      (local.get 53) (local.get 65))
                    (local.get 53) (local.get 66))
                  (local.get 53) (local.get 67))
                (i32x4.shl (local.get 51) (i32.const 23))))
            (local.set 85 (f32x4.mul (local.get 54) (local.get 54)))
            (v128.store offset=16 align=4 (local.get 83) (local.get 85))
            (local.set 79 (f32x4.add (local.get 79) (local.get 85)))
            (local.set 83 (i32.add (local.get 83) (i32.const 32)))
            (br_if 0
              (i32.lt_s (local.tee 81 (i32.add (local.get 81) (i32.const 8))) (local.get 82)))
          end
        end
        (f32.store offset=272
          (local.get 46)
          (f32.add
            (f32.load offset=272 (local.get 46))
            (f32x4.extract_lane 0
              (f32x4.add
                (local.tee 86
                  (f32x4.add
                    (local.tee 86 (f32x4.add (local.get 78) (local.get 79)))
                    (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7
                      (local.get 86) (local.get 86))))
                (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11
                  (local.get 86) (local.get 86))))))
        (br_if 0 (i32.lt_s (local.tee 43 (i32.add (local.get 43) (i32.const 1))) (i32.const 4)))
      end
      (local.set 87 (i32.const 0))
      loop
        (local.set 88
          (i32.add (i32.sub (i32.const 0) (local.get 18)) (i32.shl (local.get 87) (i32.const 3))))
        (local.set 89 (i32.shl (local.get 87) (i32.const 2)))
        (local.set 90 (i32.const 0))
        (local.set 91
          (i32.add
            (i32.add (local.get 3) (i32.shl (local.get 90) (i32.const 4)))
            (i32.shl (local.get 89) (i32.const 2))))
        (local.set 92 (v128.load offset=128 align=4 (local.get 91)))
        (local.set 93 (i32.add (local.get 16) (i32.shl (local.get 90) (i32.const 2))))
        (local.set 94 (local.get 18))
        (local.set 95 (i32.add (local.get 18) (i32.const 8)))
        (i32.lt_s (local.get 94) (local.get 95))
        if
          (local.set 96 (i32.add (local.get 3) (i32.shl (local.get 88) (i32.const 2))))
          (local.set 97 (i32.add (local.get 96) (i32.shl (local.get 94) (i32.const 2))))
          (local.set 98 (i32.add (local.get 6) (i32.shl (local.get 93) (i32.const 2))))
          (local.set 99 (i32.add (local.get 98) (i32.shl (local.get 94) (i32.const 4))))
          loop
            (local.set 100 (v128.load32_splat (local.get 97)))
            (local.set 92
              (f32x4.relaxed_madd
                (local.get 100) (v128.load align=4 (local.get 99)) (local.get 92)))
            (local.set 97 (i32.add (local.get 97) (i32.const 4)))
            (local.set 99 (i32.add (local.get 99) (i32.const 16)))
            (br_if 0
              (i32.lt_s (local.tee 94 (i32.add (local.get 94) (i32.const 1))) (local.get 95)))
          end
        end
        (v128.store offset=128 align=4 (local.get 91) (local.get 92))
        (br_if 0 (i32.lt_s (local.tee 87 (i32.add (local.get 87) (i32.const 1))) (i32.const 4)))
      end
      (local.set 101 (i32.const 0))
      loop
        (f32.const 1.0)
        (local.set 102 (i32.add (local.get 3) (i32.shl (local.get 101) (i32.const 2))))
        (f32.load offset=272 (local.get 102))
        f32.div
        local.set 103
        (local.set 104 (i32.shl (local.get 101) (i32.const 2)))
        (local.set 105 (i32.add (local.get 15) (i32.shl (local.get 101) (i32.const 2))))
        (local.set 106 (i32.const 0))
        (local.set 107
          (i32.add
            (i32.add (local.get 3) (i32.shl (local.get 106) (i32.const 4)))
            (i32.shl (local.get 104) (i32.const 2))))
        (v128.load offset=128 align=4 (local.get 107))
        (local.set 108 (f32x4.splat (local.get 103)))
        (local.get 108)
        f32x4.mul
        local.set 109
        (local.set 110
          (i32.add
            (i32.add (local.get 7) (i32.shl (local.get 105) (i32.const 2)))
            (i32.shl (local.get 106) (i32.const 4))))
        (v128.store align=4 (local.get 110) (local.get 109))
        (br_if 0 (i32.lt_s (local.tee 101 (i32.add (local.get 101) (i32.const 1))) (i32.const 4)))
      end
      (br_if 0 (i32.lt_s (local.tee 8 (i32.add (local.get 8) (i32.const 1))) (local.get 2)))
    end
  end
)
