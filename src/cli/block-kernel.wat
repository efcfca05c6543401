;; The converter's inner loops with 128-bit SIMD: four to eight times as fast as JavaScript.
;; `convert-block.ts` and `quantize-groups.ts` are the same computations, plainly; a test compares the bytes.
;; All counts are multiples of 32 values, except where a loop's tail is said to overrun its output.
(module
  (memory (export "memory") 1)

  ;; bfloat16 -> f32. Returns non-zero when a value is infinite or NaN. Overruns by up to 7 values.
  (func (export "widenBfloat16") (param $source i32) (param $count i32) (param $target i32) (result i32)
    (local $end i32) (local $bits v128) (local $low v128) (local $high v128) (local $bad v128)
    (local.set $end (i32.add (local.get $source) (i32.shl (local.get $count) (i32.const 1))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $source) (local.get $end)))
        (local.set $bits (v128.load (local.get $source)))
        (local.set $low (i32x4.shl (i32x4.extend_low_i16x8_u (local.get $bits)) (i32.const 16)))
        (local.set $high (i32x4.shl (i32x4.extend_high_i16x8_u (local.get $bits)) (i32.const 16)))
        (v128.store (local.get $target) (local.get $low))
        (v128.store offset=16 (local.get $target) (local.get $high))
        (local.set $bad (v128.or (local.get $bad) (call $isNonFinite (local.get $low))))
        (local.set $bad (v128.or (local.get $bad) (call $isNonFinite (local.get $high))))
        (local.set $source (i32.add (local.get $source) (i32.const 16)))
        (local.set $target (i32.add (local.get $target) (i32.const 32)))
        (br $next)))
    (v128.any_true (local.get $bad)))

  ;; binary16 -> f32, subnormals too: the f32 of the shifted bits is 2^112 too small.
  (func (export "widenFloat16") (param $source i32) (param $count i32) (param $target i32) (result i32)
    (local $end i32) (local $bits v128) (local $bad v128)
    (local.set $end (i32.add (local.get $source) (i32.shl (local.get $count) (i32.const 1))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $source) (local.get $end)))
        (local.set $bits (v128.load (local.get $source)))
        (v128.store (local.get $target) (call $widenFour (i32x4.extend_low_i16x8_u (local.get $bits))))
        (v128.store offset=16 (local.get $target) (call $widenFour (i32x4.extend_high_i16x8_u (local.get $bits))))
        (local.set $bad (v128.or (local.get $bad) (call $isNonFiniteHalf (local.get $bits))))
        (local.set $source (i32.add (local.get $source) (i32.const 16)))
        (local.set $target (i32.add (local.get $target) (i32.const 32)))
        (br $next)))
    (v128.any_true (local.get $bad)))

  ;; Returns non-zero when an f32 is infinite or NaN. Reads up to 3 values beyond the end.
  (func (export "checkFloat32") (param $source i32) (param $count i32) (result i32)
    (local $end i32) (local $bad v128)
    (local.set $end (i32.add (local.get $source) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $source) (local.get $end)))
        (local.set $bad (v128.or (local.get $bad) (call $isNonFinite (v128.load (local.get $source)))))
        (local.set $source (i32.add (local.get $source) (i32.const 16)))
        (br $next)))
    (v128.any_true (local.get $bad)))

  ;; f32 -> binary16, halves to even. Returns non-zero when a result is infinite. Overruns by up to 7 values.
  (func (export "narrowFloat16") (param $source i32) (param $count i32) (param $target i32) (result i32)
    (local $end i32) (local $bits v128) (local $bad v128)
    (local.set $end (i32.add (local.get $source) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $source) (local.get $end)))
        (local.set $bits (i16x8.narrow_i32x4_u
          (call $narrowFour (v128.load (local.get $source)))
          (call $narrowFour (v128.load offset=16 (local.get $source)))))
        (v128.store (local.get $target) (local.get $bits))
        (local.set $bad (v128.or (local.get $bad) (call $isNonFiniteHalf (local.get $bits))))
        (local.set $source (i32.add (local.get $source) (i32.const 32)))
        (local.set $target (i32.add (local.get $target) (i32.const 16)))
        (br $next)))
    (v128.any_true (local.get $bad)))

  ;; Quantises groups of 32 f32. $divisors: f64 divisors of the search; none for the absmax rule.
  ;; $zero: 7 or 127. Writes 16 (32) bytes of words and one f16 scale a group.
  ;; Returns non-zero when a scale is infinite.
  (func (export "quantize")
    (param $source i32) (param $groups i32) (param $words i32) (param $scales i32)
    (param $zero i32) (param $divisors i32) (param $divisorCount i32) (result i32)
    (local $end i32) (local $scale f64) (local $bits i32) (local $bad i32)
    (local.set $end (i32.add (local.get $source) (i32.shl (local.get $groups) (i32.const 7))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $source) (local.get $end)))
        (if (local.get $divisorCount)
          (then
            (local.set $scale (call $searchScale (local.get $source) (local.get $zero) (local.get $divisors) (local.get $divisorCount)))
            (local.set $bits (call $toHalf (f32.demote_f64 (local.get $scale)))))
          (else
            (local.set $bits (call $toHalf (f32.div
              (f32.abs (call $findExtreme (local.get $source)))
              (f32.convert_i32_s (local.get $zero)))))))
        (i32.store16 (local.get $scales) (local.get $bits))
        (local.set $bad (i32.or (local.get $bad) (i32.eq (i32.and (local.get $bits) (i32.const 0x7c00)) (i32.const 0x7c00))))
        (call $pack (local.get $source) (local.get $words) (local.get $zero) (local.get $bits) (local.get $divisorCount))
        (local.set $source (i32.add (local.get $source) (i32.const 128)))
        (local.set $scales (i32.add (local.get $scales) (i32.const 2)))
        (local.set $words (i32.add (local.get $words)
          (select (i32.const 16) (i32.const 32) (i32.eq (local.get $zero) (i32.const 7)))))
        (br $next)))
    (local.get $bad))

  ;; The f16 scale of least squared error among the divisors' and their refinement; 0 when there is none.
  (func $searchScale (param $source i32) (param $zero i32) (param $divisors i32) (param $count i32) (result f64)
    (local $extreme f64) (local $scale f64) (local $best f64) (local $error f32) (local $least f32) (local $better i32)
    (local $low v128) (local $high v128)
    (local.set $extreme (f64.promote_f32 (call $findExtreme (local.get $source))))
    (if (f64.gt (f64.abs (local.get $extreme)) (f64.mul (f64.const 65504) (f64.convert_i32_s (local.get $zero))))
      (then (return (f64.const inf))))
    (local.set $low (f32x4.neg (f32x4.splat (f32.convert_i32_s (local.get $zero)))))
    (local.set $high (f32x4.splat (f32.convert_i32_s (i32.add (local.get $zero) (i32.const 1)))))
    (local.set $least (f32.const inf))
    ;; The last round tries the best scale's refinement.
    (loop $next
      (local.set $scale (call $roundToHalf
        (if (result f64) (local.get $count)
          (then (f64.div (local.get $extreme) (f64.load (local.get $divisors))))
          (else (call $fitScale (local.get $source) (local.get $best) (local.get $low) (local.get $high))))))
      (if (f64.ne (local.get $scale) (f64.const 0))
        (then
          (local.set $error (call $squaredError (local.get $source) (local.get $scale) (local.get $low) (local.get $high)))
          (local.set $better (f32.lt (local.get $error) (local.get $least)))
          (local.set $best (select (local.get $scale) (local.get $best) (local.get $better)))
          (local.set $least (select (local.get $error) (local.get $least) (local.get $better)))))
      (if (local.get $count)
        (then
          (local.set $divisors (i32.add (local.get $divisors) (i32.const 8)))
          (local.set $count (i32.sub (local.get $count) (i32.const 1)))
          (br_if $next (i32.or (i32.ne (local.get $count) (i32.const 0)) (f64.ne (local.get $best) (f64.const 0)))))))
    (local.get $best))

  ;; The squared error of a group quantised with a scale.
  (func $squaredError (param $source i32) (param $scale f64) (param $low v128) (param $high v128) (result f32)
    (local $inverse v128) (local $step v128) (local $end i32) (local $rest v128) (local $sum v128)
    (local.set $inverse (f32x4.splat (f32.demote_f64 (f64.div (f64.const 1) (local.get $scale)))))
    (local.set $step (f32x4.splat (f32.demote_f64 (local.get $scale))))
    (local.set $end (i32.add (local.get $source) (i32.const 128)))
    (loop $next
      (local.set $rest (f32x4.sub (v128.load (local.get $source))
        (f32x4.mul (local.get $step) (f32x4.pmin (local.get $high) (f32x4.pmax (local.get $low)
          (f32x4.nearest (f32x4.mul (v128.load (local.get $source)) (local.get $inverse))))))))
      (local.set $sum (f32x4.add (local.get $sum) (f32x4.mul (local.get $rest) (local.get $rest))))
      (local.set $rest (f32x4.sub (v128.load offset=16 (local.get $source))
        (f32x4.mul (local.get $step) (f32x4.pmin (local.get $high) (f32x4.pmax (local.get $low)
          (f32x4.nearest (f32x4.mul (v128.load offset=16 (local.get $source)) (local.get $inverse))))))))
      (local.set $sum (f32x4.add (local.get $sum) (f32x4.mul (local.get $rest) (local.get $rest))))
      (local.set $source (i32.add (local.get $source) (i32.const 32)))
      (br_if $next (i32.lt_u (local.get $source) (local.get $end))))
    (call $sum (local.get $sum)))

  ;; The scale of least squared error for the q that a scale gives.
  (func $fitScale (param $source i32) (param $scale f64) (param $low v128) (param $high v128) (result f64)
    (local $inverse v128) (local $end i32) (local $w v128) (local $q v128) (local $wq v128) (local $qq v128)
    (local.set $inverse (f32x4.splat (f32.demote_f64 (f64.div (f64.const 1) (local.get $scale)))))
    (local.set $end (i32.add (local.get $source) (i32.const 128)))
    (loop $next
      (local.set $w (v128.load (local.get $source)))
      (local.set $q (f32x4.pmin (local.get $high) (f32x4.pmax (local.get $low)
        (f32x4.nearest (f32x4.mul (local.get $w) (local.get $inverse))))))
      (local.set $wq (f32x4.add (local.get $wq) (f32x4.mul (local.get $w) (local.get $q))))
      (local.set $qq (f32x4.add (local.get $qq) (f32x4.mul (local.get $q) (local.get $q))))
      (local.set $source (i32.add (local.get $source) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $source) (local.get $end))))
    (f64.div
      (f64.promote_f32 (call $sum (local.get $wq)))
      (f64.promote_f32 (call $sum (local.get $qq)))))

  ;; (0 + 1) + (2 + 3)
  (func $sum (param $v v128) (result f32)
    (f32.add
      (f32.add (f32x4.extract_lane 0 (local.get $v)) (f32x4.extract_lane 1 (local.get $v)))
      (f32.add (f32x4.extract_lane 2 (local.get $v)) (f32x4.extract_lane 3 (local.get $v)))))

  ;; The value of greatest magnitude in a group; the positive one of two.
  (func $findExtreme (param $source i32) (result f32)
    (local $end i32) (local $v v128) (local $most v128) (local $least v128) (local $max f32) (local $min f32)
    (local.set $end (i32.add (local.get $source) (i32.const 128)))
    (loop $next
      (local.set $v (v128.load (local.get $source)))
      (local.set $most (f32x4.pmax (local.get $most) (local.get $v)))
      (local.set $least (f32x4.pmin (local.get $least) (local.get $v)))
      (local.set $source (i32.add (local.get $source) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $source) (local.get $end))))
    (local.set $max (f32.max
      (f32.max (f32x4.extract_lane 0 (local.get $most)) (f32x4.extract_lane 1 (local.get $most)))
      (f32.max (f32x4.extract_lane 2 (local.get $most)) (f32x4.extract_lane 3 (local.get $most)))))
    (local.set $min (f32.min
      (f32.min (f32x4.extract_lane 0 (local.get $least)) (f32x4.extract_lane 1 (local.get $least)))
      (f32.min (f32x4.extract_lane 2 (local.get $least)) (f32x4.extract_lane 3 (local.get $least)))))
    (select (local.get $max) (local.get $min) (f32.ge (local.get $max) (f32.neg (local.get $min)))))

  ;; Rounds a group with its scale and packs it. A searched scale is applied by its inverse, the other rule
  ;; divides, as numpy and torch do.
  (func $pack (param $source i32) (param $words i32) (param $zero i32) (param $scaleBits i32) (param $searched i32)
    (local $step v128) (local $zeros v128) (local $high v128)
    (local $scale v128) (local $zeroes v128) (local $first v128) (local $second v128) (local $top i32)
    (local.set $scale (call $widenFour (i32x4.splat (local.get $scaleBits))))
    (local.set $zeros (f32x4.splat (f32.convert_i32_s (local.get $zero))))
    (local.set $top (i32.add (i32.shl (local.get $zero) (i32.const 1)) (i32.ne (local.get $searched) (i32.const 0))))
    (local.set $high (f32x4.splat (f32.convert_i32_s (local.get $top))))
    (if (i32.and (local.get $scaleBits) (i32.const 0x7fff))
      (then (local.set $step (if (result v128) (local.get $searched)
        (then (f32x4.div (f32x4.splat (f32.const 1)) (local.get $scale)))
        (else (local.get $scale)))))
      ;; A scale of 0 stores zeros.
      (else (local.set $step (if (result v128) (local.get $searched)
        (then (f32x4.splat (f32.const 0)))
        (else (f32x4.splat (f32.const inf)))))))
    (local.set $first (call $roundSixteen (local.get $source) (local.get $step) (local.get $zeros) (local.get $high) (local.get $searched)))
    (local.set $second (call $roundSixteen (i32.add (local.get $source) (i32.const 64)) (local.get $step) (local.get $zeros) (local.get $high) (local.get $searched)))
    (if (i32.eq (local.get $zero) (i32.const 7))
      (then
        (v128.store (local.get $words) (i8x16.narrow_i16x8_u
          (call $joinNibbles (local.get $first))
          (call $joinNibbles (local.get $second)))))
      (else
        (v128.store (local.get $words) (local.get $first))
        (v128.store offset=16 (local.get $words) (local.get $second)))))

  ;; Sixteen q as bytes.
  (func $roundSixteen (param $source i32) (param $step v128) (param $zeros v128) (param $high v128) (param $searched i32) (result v128)
    (i8x16.narrow_i16x8_u
      (i16x8.narrow_i32x4_s
        (call $roundFour (v128.load (local.get $source)) (local.get $step) (local.get $zeros) (local.get $high) (local.get $searched))
        (call $roundFour (v128.load offset=16 (local.get $source)) (local.get $step) (local.get $zeros) (local.get $high) (local.get $searched)))
      (i16x8.narrow_i32x4_s
        (call $roundFour (v128.load offset=32 (local.get $source)) (local.get $step) (local.get $zeros) (local.get $high) (local.get $searched))
        (call $roundFour (v128.load offset=48 (local.get $source)) (local.get $step) (local.get $zeros) (local.get $high) (local.get $searched)))))

  (func $roundFour (param $w v128) (param $step v128) (param $zeros v128) (param $high v128) (param $searched i32) (result v128)
    (i32x4.trunc_sat_f32x4_s (f32x4.pmin (local.get $high) (f32x4.pmax (v128.const f32x4 0 0 0 0)
      (if (result v128) (local.get $searched)
        (then (f32x4.add (f32x4.nearest (f32x4.mul (local.get $w) (local.get $step))) (local.get $zeros)))
        (else (f32x4.nearest (f32x4.add (f32x4.div (local.get $w) (local.get $step)) (local.get $zeros)))))))))

  ;; Bytes of nibble pairs, one in the low half of each 16-bit lane.
  (func $joinNibbles (param $bytes v128) (result v128)
    (v128.and
      (v128.or (local.get $bytes) (i16x8.shr_u (local.get $bytes) (i32.const 4)))
      (i16x8.splat (i32.const 0xff))))

  (func $isNonFinite (param $bits v128) (result v128)
    (i32x4.eq (v128.and (local.get $bits) (i32x4.splat (i32.const 0x7f800000))) (i32x4.splat (i32.const 0x7f800000))))

  (func $isNonFiniteHalf (param $bits v128) (result v128)
    (i16x8.eq (v128.and (local.get $bits) (i16x8.splat (i32.const 0x7c00))) (i16x8.splat (i32.const 0x7c00))))

  ;; Four binary16 in 32-bit lanes -> f32; finite ones only.
  (func $widenFour (param $bits v128) (result v128)
    (v128.or
      (f32x4.mul
        (i32x4.shl (v128.and (local.get $bits) (i32x4.splat (i32.const 0x7fff))) (i32.const 13))
        (f32x4.splat (f32.const 0x1p112)))
      (i32x4.shl (v128.and (local.get $bits) (i32x4.splat (i32.const 0x8000))) (i32.const 16))))

  ;; Four f32 -> binary16 in 32-bit lanes; infinity and NaN become infinite.
  (func $narrowFour (param $value v128) (result v128)
    (local $magnitude v128) (local $normal v128) (local $small v128)
    (local.set $magnitude (v128.and (local.get $value) (i32x4.splat (i32.const 0x7fffffff))))
    ;; Rebias the exponent by 112, then round the 13 dropped bits to even by a carry.
    (local.set $normal (i32x4.shr_u
      (i32x4.add
        (i32x4.sub (local.get $magnitude) (i32x4.splat (i32.const 0x37fff001)))
        (v128.and (i32x4.shr_u (local.get $magnitude) (i32.const 13)) (i32x4.splat (i32.const 1))))
      (i32.const 13)))
    ;; Below 2^-14 the sum with 0.5 rounds to a multiple of 2^-24.
    (local.set $small (i32x4.sub
      (f32x4.add (local.get $magnitude) (f32x4.splat (f32.const 0.5)))
      (i32x4.splat (i32.const 0x3f000000))))
    (v128.or
      (i32x4.min_u
        (v128.bitselect (local.get $small) (local.get $normal)
          (i32x4.lt_u (local.get $magnitude) (i32x4.splat (i32.const 0x38800000))))
        (i32x4.splat (i32.const 0x7c00)))
      (v128.and (i32x4.shr_u (local.get $value) (i32.const 16)) (i32x4.splat (i32.const 0x8000)))))

  (func $toHalf (param $value f32) (result i32)
    (i32x4.extract_lane 0 (call $narrowFour (f32x4.splat (local.get $value)))))

  ;; The f16 value nearest to a double; `round-scale.ts` explains the numbers.
  (func $roundToHalf (param $value f64) (result f64)
    (local $spread f64)
    (if (result f64) (f64.lt (f64.abs (local.get $value)) (f64.const 0x1p-14))
      (then (f64.sub (f64.add (local.get $value) (f64.const 402653184)) (f64.const 402653184)))
      (else
        (local.set $spread (f64.mul (local.get $value) (f64.const 4398046511105)))
        (f64.sub (local.get $spread) (f64.sub (local.get $spread) (local.get $value)))))))
