// Elementary functions. Polynomials: Cephes (S. Moshier, single precision: expf, logf, tanhf, sinf, cosf)
// and, for erf, N. Juffa's minimax pair. Every step is one rounded operation, so one lane and sixteen give
// the same bits.

// Ordered so that a NaN in v survives on every instruction set.
XSLIM_INLINE V ClampV(V v, V lo, V hi) {
  v = hn::IfThenElse(hn::Gt(lo, v), lo, v);
  return hn::IfThenElse(hn::Lt(hi, v), hi, v);
}

XSLIM_INLINE V ExpV(V x) {
  const F32 d;
  const I32 di;
  const auto nan = hn::IsNaN(x);
  V t = hn::IfThenElse(nan, hn::Zero(d), x);
  t = ClampV(t, hn::Set(d, -104.0f), hn::Set(d, 89.0f));
  const V n = hn::Round(hn::Mul(t, hn::Set(d, 1.44269504088896341f)));
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), t);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  V p = hn::Set(d, 1.9875691500e-4f);
  p = hn::MulAdd(p, r, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(d, 1.0f));
  // 2^n in two factors: n runs from -150 to 128.
  const VI whole = hn::ConvertTo(di, n);
  const VI half = hn::ShiftRight<1>(whole);
  const VI rest = hn::Sub(whole, half);
  const VI bias = hn::Set(di, 127);
  p = hn::Mul(p, hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias))));
  p = hn::Mul(p, hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(rest, bias))));
  return hn::IfThenElse(nan, x, p);
}

XSLIM_INLINE V LogV(V x) {
  const F32 d;
  const I32 di;
  const V zero = hn::Zero(d);
  const auto tiny = hn::Lt(x, hn::Set(d, 1.17549435e-38f));  // denormal, zero or negative
  const V scaled = hn::IfThenElse(tiny, hn::Mul(x, hn::Set(d, 33554432.0f)), x);
  const VI offset = hn::Set(di, 0x3f3504f3);  // sqrt(1/2): the mantissa runs over [sqrt(1/2), sqrt(2))
  const VI bits = hn::Sub(hn::BitCast(di, scaled), offset);
  V e = hn::ConvertTo(d, hn::ShiftRight<23>(bits));
  e = hn::Sub(e, hn::IfThenElse(tiny, hn::Set(d, 25.0f), zero));
  const V m = hn::BitCast(d, hn::Add(hn::And(bits, hn::Set(di, 0x7fffff)), offset));
  const V f = hn::Sub(m, hn::Set(d, 1.0f));
  const V z = hn::Mul(f, f);
  V p = hn::Set(d, 7.0376836292e-2f);
  p = hn::MulAdd(p, f, hn::Set(d, -1.1514610310e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.1676998740e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, -1.2420140846e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.4249322787e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, -1.6668057665e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 2.0000714765e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, -2.4999993993e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 3.3333331174e-1f));
  V y = hn::Mul(hn::Mul(p, f), z);
  y = hn::MulAdd(e, hn::Set(d, -2.12194440e-4f), y);
  y = hn::MulAdd(z, hn::Set(d, -0.5f), y);
  y = hn::MulAdd(e, hn::Set(d, 0.693359375f), hn::Add(f, y));
  const V inf = hn::Set(d, __builtin_inff());
  y = hn::IfThenElse(hn::Eq(x, inf), inf, y);
  y = hn::IfThenElse(hn::Eq(x, zero), hn::Set(d, -__builtin_inff()), y);
  return hn::IfThenElse(hn::Ge(x, zero), y, hn::Set(d, __builtin_nanf("")));
}

XSLIM_INLINE V TanhV(V x) {
  const F32 d;
  const V one = hn::Set(d, 1.0f);
  const V a = hn::Abs(x);
  const V z = hn::Mul(x, x);
  V p = hn::Set(d, -5.70498872745e-3f);
  p = hn::MulAdd(p, z, hn::Set(d, 2.06390887954e-2f));
  p = hn::MulAdd(p, z, hn::Set(d, -5.37397155531e-2f));
  p = hn::MulAdd(p, z, hn::Set(d, 1.33314422036e-1f));
  p = hn::MulAdd(p, z, hn::Set(d, -3.33332819422e-1f));
  const V small = hn::MulAdd(hn::Mul(p, z), x, x);
  const V large = hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(ExpV(hn::Add(a, a)), one)));
  return hn::IfThenElse(hn::Gt(a, hn::Set(d, 0.625f)), hn::CopySign(large, x), small);
}

XSLIM_INLINE V SigmoidV(V x) {
  const F32 d;
  const V one = hn::Set(d, 1.0f);
  const V e = ExpV(hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}

XSLIM_INLINE V ErfV(V x) {
  const F32 d;
  const V t = hn::Abs(x);
  const V s = hn::Mul(x, x);
  V r = hn::MulAdd(hn::Set(d, -1.72853470e-5f), t, hn::Set(d, 3.83197126e-4f));
  const V u = hn::MulAdd(hn::Set(d, -3.88396438e-3f), t, hn::Set(d, 2.42546219e-2f));
  r = hn::MulAdd(r, s, u);
  r = hn::MulAdd(r, t, hn::Set(d, -1.06777877e-1f));
  r = hn::MulAdd(r, t, hn::Set(d, -6.34846687e-1f));
  r = hn::MulAdd(r, t, hn::Set(d, -1.28717512e-1f));
  r = hn::NegMulAdd(t, hn::Set(d, 1.0f), hn::Mul(r, t));
  const V large = hn::CopySign(hn::Sub(hn::Set(d, 1.0f), ExpV(r)), x);
  V p = hn::Set(d, -5.96761703e-4f);
  p = hn::MulAdd(p, s, hn::Set(d, 4.99119423e-3f));
  p = hn::MulAdd(p, s, hn::Set(d, -2.67681349e-2f));
  p = hn::MulAdd(p, s, hn::Set(d, 1.12819925e-1f));
  p = hn::MulAdd(p, s, hn::Set(d, -3.76125336e-1f));
  p = hn::MulAdd(p, s, hn::Set(d, 1.28379166e-1f));
  p = hn::MulAdd(p, x, x);
  return hn::IfThenElse(hn::Gt(t, hn::Set(d, 0.927734375f)), large, p);
}

// max(x, 0) + log1p(exp(-|x|)); log1p as log(u) + (e - (u - 1))/u with u = 1 + e.
XSLIM_INLINE V SoftplusV(V x) {
  const F32 d;
  const V one = hn::Set(d, 1.0f);
  const V e = ExpV(hn::Neg(hn::Abs(x)));
  const V u = hn::Add(one, e);
  const V log1p = hn::Add(LogV(u), hn::Div(hn::Sub(e, hn::Sub(u, one)), u));
  const V positive = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Zero(d), x);
  return hn::Add(positive, log1p);
}

// x * tanh(softplus(x)) = x * n/(n + 2), n = e^x (e^x + 2); 1 in float above 20.
XSLIM_INLINE V MishV(V x) {
  const F32 d;
  const V two = hn::Set(d, 2.0f);
  const V limit = hn::Set(d, 20.0f);
  const V e = ExpV(hn::IfThenElse(hn::Gt(x, limit), limit, x));
  const V n = hn::Mul(e, hn::Add(e, two));
  const V y = hn::Mul(x, hn::Div(n, hn::Add(n, two)));
  return hn::IfThenElse(hn::Gt(x, limit), x, y);
}

// sin(x + shift * pi/2), x reduced by Cody and Waite's three-part pi/2; good for |x| < 10^4.
XSLIM_INLINE V SinCosV(V x, float shift) {
  const F32 d;
  const V one = hn::Set(d, 1.0f);
  const V q = hn::Round(hn::Mul(x, hn::Set(d, 0.636619772367581343f)));
  V r = hn::NegMulAdd(q, hn::Set(d, 1.5703125f), x);
  r = hn::NegMulAdd(q, hn::Set(d, 4.837512969970703125e-4f), r);
  r = hn::NegMulAdd(q, hn::Set(d, 7.549789948768648e-8f), r);
  const V z = hn::Mul(r, r);
  V s = hn::MulAdd(hn::Set(d, -1.9515295891e-4f), z, hn::Set(d, 8.3321608736e-3f));
  s = hn::MulAdd(s, z, hn::Set(d, -1.6666654611e-1f));
  s = hn::MulAdd(hn::Mul(s, z), r, r);
  V c = hn::MulAdd(hn::Set(d, 2.443315711809948e-5f), z, hn::Set(d, -1.388731625493765e-3f));
  c = hn::MulAdd(c, z, hn::Set(d, 4.166664568298827e-2f));
  c = hn::MulAdd(hn::Mul(c, z), z, hn::MulAdd(z, hn::Set(d, -0.5f), one));
  const V turned = hn::Add(q, hn::Set(d, shift));
  const V quadrant = hn::NegMulAdd(hn::Floor(hn::Mul(turned, hn::Set(d, 0.25f))), hn::Set(d, 4.0f), turned);
  const auto cosine = hn::Or(hn::Eq(quadrant, one), hn::Eq(quadrant, hn::Set(d, 3.0f)));
  const V y = hn::IfThenElse(cosine, c, s);
  const V signed_y = hn::IfThenElse(hn::Ge(quadrant, hn::Set(d, 2.0f)), hn::Neg(y), y);
  return ClampV(signed_y, hn::Set(d, -1.0f), one);
}
