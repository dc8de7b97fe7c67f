// Spectra and the windows for them: DFT, STFT, Hann-, Hamming- and BlackmanWindow, MelWeightMatrix. Computed
// in double on our own elementary functions.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/precise_math.h"
#include "xslim/error.h"

namespace xslim {
namespace {

struct Complex {
  double re = 0, im = 0;
};
Complex operator*(Complex a, Complex b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }

// e^(-2 pi i k / n), k in [0, n)
Complex Root(int64_t k, int64_t n) {
  const double angle = -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
  return {precise::Cos(angle), precise::Sin(angle)};
}

// The discrete Fourier transform of n values in O(n log n): Cooley and Tukey's for powers of two, else
// Bluestein's, which writes it as a convolution and takes that from transforms of a power of two.
class Fourier {
 public:
  explicit Fourier(int64_t n) : n_(n), padded_(1) {
    const bool power = (n & (n - 1)) == 0;
    while (padded_ < (power ? n : 2 * n - 1)) padded_ *= 2;
    for (int64_t k = 0; k < padded_ / 2; ++k) roots_.push_back(Root(k, padded_));
    if (power) return;
    std::vector<Complex> response(static_cast<size_t>(padded_));
    for (int64_t k = 0, square = 0; k < n; ++k) {  // square = k^2 mod 2n
      chirp_.push_back(Root(square, 2 * n));
      square = (square + 2 * k + 1) % (2 * n);
      response[static_cast<size_t>(k)] = {chirp_.back().re, -chirp_.back().im};
      if (k > 0) response[static_cast<size_t>(padded_ - k)] = response[static_cast<size_t>(k)];
    }
    Transform(response);
    response_ = std::move(response);
  }

  // x of n values, in place; the inverse is divided by n.
  void Run(std::vector<Complex>& x, bool inverse) const {
    if (inverse) Conjugate(x);
    if (chirp_.empty()) {
      Transform(x);
    } else {
      std::vector<Complex> work(static_cast<size_t>(padded_));
      for (size_t k = 0; k < x.size(); ++k) work[k] = x[k] * chirp_[k];
      Transform(work);
      for (size_t k = 0; k < work.size(); ++k) work[k] = work[k] * response_[k];
      Conjugate(work);  // the inverse transform
      Transform(work);
      const double scale = 1 / static_cast<double>(padded_);
      for (size_t k = 0; k < x.size(); ++k)
        x[k] = Complex{work[k].re * scale, -work[k].im * scale} * chirp_[k];
    }
    if (!inverse) return;
    Conjugate(x);
    for (Complex& value : x) {
      value.re /= static_cast<double>(n_);
      value.im /= static_cast<double>(n_);
    }
  }

 private:
  static void Conjugate(std::vector<Complex>& x) {
    for (Complex& value : x) value.im = -value.im;
  }

  void Transform(std::vector<Complex>& x) const {
    const size_t n = x.size();
    for (size_t i = 1, j = 0; i < n; ++i) {  // j is i with its bits reversed
      size_t bit = n / 2;
      for (; j & bit; bit /= 2) j ^= bit;
      j ^= bit;
      if (i < j) std::swap(x[i], x[j]);
    }
    for (size_t half = 1; half < n; half *= 2) {
      const size_t step = n / (2 * half);
      for (size_t first = 0; first < n; first += 2 * half) {
        for (size_t k = 0; k < half; ++k) {
          Complex &a = x[first + k], &b = x[first + k + half];
          const Complex turned = b * roots_[k * step];
          b = a - turned;
          a = a + turned;
        }
      }
    }
  }

  int64_t n_, padded_;
  std::vector<Complex> roots_, chirp_, response_;
};

double At(const Tensor& x, int64_t i) {
  return x.dtype() == DType::kDouble ? x.data<double>()[i] : static_cast<double>(x.data<float>()[i]);
}
// float64 as it is, everything else as float32.
Tensor Wide(const Tensor& x) { return x.dtype() == DType::kDouble ? x : x.ToFloat32(); }

// Output `slot` of a floating point or integer type.
void SetNumbers(EvalContext& c, size_t slot, DType dtype, Shape shape, const std::vector<double>& values) {
  Tensor& y = c.out(slot, dtype, std::move(shape));
  VisitNumbers(dtype, [&](auto type) {
    using T = decltype(type);
    for (size_t i = 0; i < values.size(); ++i) y.data<T>()[i] = Store<T>(values[i]);
  });
}

int64_t OneInt(const EvalContext& c, size_t slot, const char* what) {
  const Tensor& given = c.in(slot);
  if (given.size() != 1)
    throw Error(std::string(what) + " has shape " + ToString(given.shape()), "", "expected a scalar");
  return given.ToInts()[0];
}

constexpr int64_t kLongest = int64_t{1} << 28;  // of one transform
void CheckLength(int64_t length, const char* what) {
  if (length < 1 || length > kLongest) throw Error(std::string(what) + " is " + std::to_string(length));
}

// Lines of `axis` of [..., 1 or 2] (real or complex numbers), cut or padded with zeros to the length.
// onesided: the first half of the spectrum; of an inverse transform that is the input, the output is real.
void Dft(EvalContext& c) {
  const Tensor x = Wide(c.in(0));
  const bool inverse = c.node.Int("inverse", 0) != 0, onesided = c.node.Int("onesided", 0) != 0;
  if (x.rank() < 2 || x.dim(-1) < 1 || x.dim(-1) > 2)
    throw Error("input has shape " + ToString(x.shape()), "", "expected [..., 1] or [..., 2]");
  const int64_t given = c.opset >= 20 ? (c.has(2) ? OneInt(c, 2, "axis") : -2) : c.node.Int("axis", 1);
  const int64_t axis = NormalAxis(given, x.rank());
  if (axis == x.rank() - 1) throw Error("axis " + std::to_string(given) + " is that of the complex parts");
  const int64_t parts = x.dim(-1), in_length = x.dim(axis);
  const bool expand = inverse && onesided;
  const int64_t n = c.has(1) ? OneInt(c, 1, "dft_length") : expand ? 2 * (in_length - 1) : in_length;
  CheckLength(n, "dft_length");
  const int64_t kept = onesided && !inverse ? n / 2 + 1 : n, out_parts = expand ? 1 : 2;
  Shape shape = x.shape();
  shape[static_cast<size_t>(axis)] = kept;
  shape.back() = out_parts;
  const int64_t inner = ElementCount(Shape(shape.begin() + axis + 1, shape.end() - 1));
  std::vector<double> out(static_cast<size_t>(ElementCount(shape)));
  const int64_t lines = static_cast<int64_t>(out.size()) / (kept * out_parts);
  const Fourier fourier(n);
  c.pool.ParallelFor(lines, std::max<int64_t>(1, 4096 / n), [&](int64_t begin, int64_t end, int) {
    for (int64_t line = begin; line < end; ++line) {
      const int64_t outer = line / inner, offset = line % inner;
      std::vector<Complex> values(static_cast<size_t>(n));
      for (int64_t k = 0; k < std::min(n, in_length); ++k) {
        const int64_t at = ((outer * in_length + k) * inner + offset) * parts;
        values[static_cast<size_t>(k)] = {At(x, at), parts == 2 ? At(x, at + 1) : 0};
      }
      for (int64_t k = n / 2 + 1; expand && k < n; ++k) {
        const Complex mirrored = values[static_cast<size_t>(n - k)];
        values[static_cast<size_t>(k)] = {mirrored.re, -mirrored.im};
      }
      fourier.Run(values, inverse);
      for (int64_t k = 0; k < kept; ++k) {
        const int64_t at = ((outer * kept + k) * inner + offset) * out_parts;
        out[static_cast<size_t>(at)] = values[static_cast<size_t>(k)].re;
        if (out_parts == 2) out[static_cast<size_t>(at + 1)] = values[static_cast<size_t>(k)].im;
      }
    }
  });
  SetNumbers(c, 0, c.in(0).dtype(), std::move(shape), out);
}

// [batch, length] or [batch, length, 1 or 2] -> [batch, frames, bins, 2]
void Stft(EvalContext& c) {
  const Tensor signal = Wide(c.in(0));
  if (signal.rank() < 2 || signal.rank() > 3 ||
      (signal.rank() == 3 && signal.dim(2) != 1 && signal.dim(2) != 2))
    throw Error("signal has shape " + ToString(signal.shape()), "", "expected [batch, length, 1 or 2]");
  const int64_t parts = signal.rank() == 3 ? signal.dim(2) : 1, batch = signal.dim(0), length = signal.dim(1);
  const int64_t step = OneInt(c, 1, "frame_step");
  if (!c.has(2) && !c.has(3)) throw Error("window and frame_length are both left out");
  const Tensor window = c.has(2) ? Wide(c.in(2)) : Tensor();
  const int64_t n = c.has(3) ? OneInt(c, 3, "frame_length") : window.size();
  CheckLength(n, "frame_length");
  CheckLength(step, "frame_step");
  if (window.defined() && window.size() != n) {
    throw Error("window of shape " + ToString(window.shape()) + " for frames of " + std::to_string(n));
  }
  const bool onesided = c.node.Int("onesided", 1) != 0;
  const int64_t frames = length < n ? 0 : (length - n) / step + 1, bins = onesided ? n / 2 + 1 : n;
  const Shape shape{batch, frames, bins, 2};
  std::vector<double> out(static_cast<size_t>(ElementCount(shape)));
  const Fourier fourier(n);
  c.pool.ParallelFor(batch * frames, std::max<int64_t>(1, 4096 / n), [&](int64_t begin, int64_t end, int) {
    std::vector<Complex> values(static_cast<size_t>(n));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / frames * length + i % frames * step;
      for (int64_t k = 0; k < n; ++k) {
        const int64_t at = (first + k) * parts;
        const double weight = window.defined() ? At(window, k) : 1;
        values[static_cast<size_t>(k)] = {At(signal, at) * weight,
                                          parts == 2 ? At(signal, at + 1) * weight : 0};
      }
      fourier.Run(values, false);
      for (int64_t k = 0; k < bins; ++k) {
        out[static_cast<size_t>((i * bins + k) * 2)] = values[static_cast<size_t>(k)].re;
        out[static_cast<size_t>((i * bins + k) * 2 + 1)] = values[static_cast<size_t>(k)].im;
      }
    }
  });
  SetNumbers(c, 0, c.in(0).dtype(), shape, out);
}

DType OutputType(const Node& node) { return static_cast<DType>(node.Int("output_datatype", 1)); }

// a0 - a1 cos(2 pi i / n) + a2 cos(4 pi i / n); n is the size, or one less for a symmetric window.
void Window(EvalContext& c, double a0, double a1, double a2) {
  const int64_t size = OneInt(c, 0, "size");
  if (size < 0 || size > kLongest) throw Error("size is " + std::to_string(size));
  const int64_t n = std::max<int64_t>(c.node.Int("periodic", 1) != 0 ? size : size - 1, 1);
  std::vector<double> values;
  for (int64_t i = 0; i < size; ++i) {
    values.push_back(a0 - a1 * Root(i, n).re + (a2 == 0 ? 0 : a2 * Root(2 * i, n).re));
  }
  SetNumbers(c, 0, OutputType(c.node), {size}, values);
}

void HannWindow(EvalContext& c) { Window(c, 0.5, 0.5, 0); }
void HammingWindow(EvalContext& c) { Window(c, 25.0 / 46, 21.0 / 46, 0); }
void BlackmanWindow(EvalContext& c) { Window(c, 0.42, 0.5, 0.08); }

double ToMel(double hertz) { return 2595 * precise::Log(1 + hertz / 700) / std::numbers::ln10; }
double ToHertz(double mel) { return 700 * (precise::Exp(mel / 2595 * std::numbers::ln10) - 1); }

// [spectrogram bins, mel bins]: triangles whose corners are evenly spaced on the mel scale.
void MelWeightMatrix(EvalContext& c) {
  const int64_t mels = OneInt(c, 0, "num_mel_bins"), length = OneInt(c, 1, "dft_length"),
                rate = OneInt(c, 2, "sample_rate");
  CheckLength(length, "dft_length");
  CheckLength(mels, "num_mel_bins");
  if (rate < 1) throw Error("sample_rate is " + std::to_string(rate));
  if (c.in(3).size() != 1 || c.in(4).size() != 1) throw Error("the edges must be scalars");
  const double low = ToMel(At(Wide(c.in(3)), 0)), high = ToMel(At(Wide(c.in(4)), 0));
  const int64_t bins = length / 2 + 1;
  std::vector<int64_t> corner;
  for (int64_t i = 0; i < mels + 2; ++i) {
    const double mel = low + (high - low) / static_cast<double>(mels + 2) * static_cast<double>(i);
    const double bin = std::floor(static_cast<double>(length + 1) * ToHertz(mel) / static_cast<double>(rate));
    if (!(bin >= 0 && bin < static_cast<double>(bins)) ||
        (i > 0 && bin < static_cast<double>(corner.back()))) {
      throw Error("the edges do not lie in the spectrum, lower one first");
    }
    corner.push_back(static_cast<int64_t>(bin));
  }
  std::vector<double> values(static_cast<size_t>(ElementCount({bins, mels})));
  const auto at = [&](int64_t bin, int64_t mel) -> double& {
    return values[static_cast<size_t>(bin * mels + mel)];
  };
  for (int64_t i = 0; i < mels; ++i) {
    const int64_t left = corner[static_cast<size_t>(i)], peak = corner[static_cast<size_t>(i + 1)],
                  right = corner[static_cast<size_t>(i + 2)];
    at(peak, i) = 1;
    for (int64_t j = left; j < peak; ++j)
      at(j, i) = static_cast<double>(j - left) / static_cast<double>(peak - left);
    for (int64_t j = peak + 1; j < right; ++j)
      at(j, i) = static_cast<double>(right - j) / static_cast<double>(right - peak);
  }
  SetNumbers(c, 0, OutputType(c.node), {bins, mels}, values);
}

}  // namespace

std::vector<OperatorRow> SignalOperators() {
  return {
      {"", "DFT", 17, kAnyLater, Dft},
      {"", "STFT", 17, kAnyLater, Stft},
      {"", "HannWindow", 17, kAnyLater, HannWindow},
      {"", "HammingWindow", 17, kAnyLater, HammingWindow},
      {"", "BlackmanWindow", 17, kAnyLater, BlackmanWindow},
      {"", "MelWeightMatrix", 17, kAnyLater, MelWeightMatrix},
  };
}

}  // namespace xslim
