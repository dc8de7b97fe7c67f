#include "ops/precise_math.h"

#include <cmath>
#include <cstdint>
#include <limits>

namespace xslim::precise {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kHalfPi = 1.57079632679489661923, kPi = 3.14159265358979323846;
// ln 2 in two parts; the high one has 21 trailing zero bits, so k * high is exact for |k| < 2^21.
constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
constexpr double kLn2 = 6.93147180559945309417e-01;

// Taylor series of e^r - 1 for |r| <= 0.5.
double Expm1Series(double r) {
  double sum = 0;
  for (int n = 18; n >= 2; --n) sum = (sum + 1) * r / n;
  return r * (1 + sum);
}

// Sine and cosine for |r| <= pi/4 + a little, with `tail` the part of the argument below r's last bit.
double SinSeries(double r, double tail) {
  const double s = r * r;
  double sum = 0;
  for (int n = 20; n >= 2; n -= 2) sum = -(sum + 1) * s / (n * (n + 1));
  return r + (r * sum + tail * (1 - 0.5 * s));
}

double CosSeries(double r, double tail) {
  const double s = r * r;
  double sum = 0;
  for (int n = 21; n >= 3; n -= 2) sum = -(sum + 1) * s / (n * (n + 1));
  const double half = 0.5 * s, head = 1 - half;
  return head + ((1 - head - half) - (half * sum + r * tail));
}

// x = quadrant * pi/2 + r + tail; returns quadrant mod 4. pi/2 is split in three parts of 33, 33 and 53 bits.
int ReduceQuadrant(double x, double* r, double* tail) {
  constexpr double kPart1 = 1.57079632673412561417e+00, kPart2 = 6.07710050630396597660e-11,
                   kPart3 = 2.02226624879595063154e-21;
  if (std::fabs(x) > 0x1p30) x = std::fmod(x, 4 * kHalfPi);
  const double k = std::nearbyint(x / kHalfPi);
  const double a = x - k * kPart1, w = k * kPart2, head = a - w;
  const double low = ((a - head) - w) - k * kPart3;
  *r = head + low;
  *tail = (head - *r) + low;
  return static_cast<int>(static_cast<int64_t>(k) & 3);
}

}  // namespace

double Exp(double x) {
  if (std::isnan(x)) return x;
  if (x > 710) return kInf;
  if (x < -746) return 0;
  const double k = std::nearbyint(x / kLn2);
  const double r = (x - k * kLn2High) - k * kLn2Low;
  return std::ldexp(1 + Expm1Series(r), static_cast<int>(k));
}

double Expm1(double x) { return std::fabs(x) <= 0.5 ? (x == 0 ? x : Expm1Series(x)) : Exp(x) - 1; }

double Log(double x) {
  if (std::isnan(x) || x < 0) return kNaN;
  if (x == 0) return -kInf;
  if (std::isinf(x)) return x;
  int k;
  double m = std::frexp(x, &k);
  if (m < 0.70710678118654752440) {
    m *= 2;
    --k;
  }
  // log(1 + f) = 2 atanh(s) with s = f / (2 + f), arranged as f - s * (f - R).
  const double f = m - 1, s = f / (2 + f), s2 = s * s;
  double sum = 0;
  for (int n = 25; n >= 3; n -= 2) sum = s2 * (2.0 / n + sum);
  return k * kLn2High - ((s * (f - sum) - k * kLn2Low) - f);
}

double Log1p(double x) {
  const double u = 1 + x;
  if (u == 1) return x;
  if (!(u > 0) || std::isinf(u)) return Log(u);
  return Log(u) * (x / (u - 1));
}

double Sin(double x) {
  if (!std::isfinite(x)) return kNaN;
  if (x == 0) return x;
  double r, tail;
  switch (ReduceQuadrant(x, &r, &tail)) {
    case 0:
      return SinSeries(r, tail);
    case 1:
      return CosSeries(r, tail);
    case 2:
      return -SinSeries(r, tail);
    default:
      return -CosSeries(r, tail);
  }
}

double Cos(double x) {
  if (!std::isfinite(x)) return kNaN;
  double r, tail;
  switch (ReduceQuadrant(x, &r, &tail)) {
    case 0:
      return CosSeries(r, tail);
    case 1:
      return -SinSeries(r, tail);
    case 2:
      return -CosSeries(r, tail);
    default:
      return SinSeries(r, tail);
  }
}

double Tan(double x) {
  if (!std::isfinite(x)) return kNaN;
  if (x == 0) return x;
  double r, tail;
  const int quadrant = ReduceQuadrant(x, &r, &tail);
  const double s = SinSeries(r, tail), c = CosSeries(r, tail);
  return quadrant % 2 == 0 ? s / c : -c / s;
}

double Atan(double x) {
  if (std::isnan(x) || x == 0) return x;
  const double a = std::fabs(x);
  double t = a > 1 ? 1 / a : a;
  // Two half-angle steps: atan(t) = 2 atan(t / (1 + sqrt(1 + t^2))); then |t| < 0.2 and Taylor's series.
  t = t / (1 + std::sqrt(1 + t * t));
  t = t / (1 + std::sqrt(1 + t * t));
  const double s = t * t;
  double sum = 0;
  for (int n = 25; n >= 3; n -= 2) sum = s * ((n % 4 == 3 ? -1.0 : 1.0) / n + sum);
  const double angle = 4 * (t + t * sum);
  return std::copysign(a > 1 ? kHalfPi - angle : angle, x);
}

double Asin(double x) {
  if (!(std::fabs(x) <= 1)) return kNaN;
  return Atan(x / std::sqrt((1 - x) * (1 + x)));
}

double Acos(double x) {
  if (!(std::fabs(x) <= 1)) return kNaN;
  if (x == -1) return kPi;
  return 2 * Atan(std::sqrt((1 - x) / (1 + x)));
}

double Sinh(double x) {
  const double a = std::fabs(x);
  if (a > 700) {
    const double half = Exp(0.5 * a);
    return std::copysign(0.5 * half * half, x);
  }
  const double e = Expm1(a);
  return std::copysign(0.5 * (e + e / (e + 1)), x);
}

double Cosh(double x) {
  const double a = std::fabs(x);
  if (a > 700) {
    const double half = Exp(0.5 * a);
    return 0.5 * half * half;
  }
  const double e = Exp(a);
  return 0.5 * e + 0.5 / e;
}

double Tanh(double x) {
  const double a = std::fabs(x);
  if (a > 20) return std::copysign(1.0, x);
  const double e = Expm1(2 * a);
  return std::copysign(e / (e + 2), x);
}

double Asinh(double x) {
  const double a = std::fabs(x);
  if (a > 1e8) return std::copysign(Log(a) + kLn2, x);
  return std::copysign(Log1p(a + a * a / (1 + std::sqrt(1 + a * a))), x);
}

double Acosh(double x) {
  if (!(x >= 1)) return kNaN;
  if (x > 1e8) return Log(x) + kLn2;
  const double t = x - 1;
  return Log1p(t + std::sqrt(2 * t + t * t));
}

double Atanh(double x) {
  const double a = std::fabs(x);
  if (!(a <= 1)) return kNaN;
  return std::copysign(0.5 * Log1p(2 * a / (1 - a)), x);
}

double Erf(double x) {
  if (std::isnan(x)) return x;
  const double a = std::fabs(x);
  if (a >= 6) return std::copysign(1.0, x);
  // erf(a) = 2/sqrt(pi) e^(-a^2) sum over n of 2^n a^(2n+1) / (2n+1)!!, all terms positive
  // (Abramowitz-Stegun 7.1.6).
  double term = a, sum = a;
  for (int n = 1; term > sum * 1e-17; ++n) {
    term *= 2 * a * a / (2 * n + 1);
    sum += term;
  }
  constexpr double kTwoOverRootPi = 1.12837916709551257390;
  return std::copysign(kTwoOverRootPi * Exp(-a * a) * sum, x);
}

double Sigmoid(double x) {
  if (x >= 0) return 1 / (1 + Exp(-x));
  const double e = Exp(x);
  return e / (1 + e);
}

double Softplus(double x) { return (x > 0 ? x : 0) + Log1p(Exp(-std::fabs(x))); }

double Pow(double x, double y) {
  if (y == 0 || x == 1) return 1;
  if (std::isnan(x) || std::isnan(y)) return kNaN;
  const bool integer = std::isinf(y) || std::nearbyint(y) == y;
  if (integer && std::fabs(y) <= 1024) {
    double result = 1, square = x;
    for (int n = static_cast<int>(std::fabs(y)); n > 0; n >>= 1) {
      if (n & 1) result *= square;
      square *= square;
    }
    return y < 0 ? 1 / result : result;
  }
  const bool odd = integer && std::fabs(y) < 0x1p53 && std::fmod(y, 2) != 0;
  const double a = std::fabs(x);
  double result;
  if (std::isinf(y)) {
    result = a == 1 ? 1 : ((a > 1) == (y > 0) ? kInf : 0);
  } else if (a == 0 || std::isinf(a)) {
    result = (a == 0) == (y > 0) ? 0 : kInf;
  } else if (x < 0 && !integer) {
    return kNaN;
  } else if (y == 0.5) {
    result = std::sqrt(a);
  } else {
    result = Exp(y * Log(a));
  }
  return odd && std::signbit(x) ? -result : result;
}

}  // namespace xslim::precise
