// Elementary functions in double precision from arithmetic alone (no libm transcendental), so that results
// have the same bits everywhere. Relative error is a few 1e-16 unless said otherwise. Special values follow
// IEEE 754 / C99.
#ifndef XSLIM_OPS_PRECISE_MATH_H_
#define XSLIM_OPS_PRECISE_MATH_H_

namespace xslim::precise {

double Exp(double x);
double Expm1(double x);
double Log(double x);
double Log1p(double x);
// |x| over 2^20: the absolute error grows with x (about |x| * 1e-17 and more).
double Sin(double x);
double Cos(double x);
double Tan(double x);
double Asin(double x);
double Acos(double x);
double Atan(double x);
double Sinh(double x);
double Cosh(double x);
double Tanh(double x);
double Asinh(double x);
double Acosh(double x);
double Atanh(double x);
double Erf(double x);
double Sigmoid(double x);   // 1 / (1 + e^-x)
double Softplus(double x);  // log(1 + e^x)
// Integer exponents up to 1024 by repeated multiplication, 0.5 by the square root, else exp(y * log(x)),
// whose relative error is about |y * log(x)| * 1e-16.
double Pow(double x, double y);

}  // namespace xslim::precise

#endif  // XSLIM_OPS_PRECISE_MATH_H_
