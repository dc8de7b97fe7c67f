// Conv and ConvTranspose against loops straight from their definitions.
#include <random>
#include <tuple>

#include "eval_helper.h"

namespace xslim::testing {
namespace {

struct Case {
  int64_t batch, in, out, group, height, width, kernel, stride, dilation, pad;
};

Tensor RandomTensor(Shape shape, unsigned seed) {
  std::mt19937 engine(seed);
  Tensor tensor(DType::kFloat, std::move(shape));
  for (int64_t i = 0; i < tensor.size(); ++i) {
    tensor.data<float>()[i] = static_cast<float>(engine() % 2001) / 1000.0f - 1.0f;
  }
  return tensor;
}

Attributes AttributesOf(const Case& c) {
  return {{"group", Attribute::Int(c.group)},
          {"strides", Attribute::Ints({c.stride, c.stride})},
          {"dilations", Attribute::Ints({c.dilation, c.dilation})},
          {"pads", Attribute::Ints({c.pad, c.pad, c.pad, c.pad})}};
}

Tensor NaiveConv(const Case& c, const Tensor& x, const Tensor& w, const Tensor& bias) {
  const int64_t extent = (c.kernel - 1) * c.dilation + 1;
  const int64_t oh = (c.height + 2 * c.pad - extent) / c.stride + 1,
                ow = (c.width + 2 * c.pad - extent) / c.stride + 1;
  Tensor y(DType::kFloat, {c.batch, c.out, oh, ow});
  const int64_t channels = c.in / c.group;
  float* out = y.data<float>();
  for (int64_t n = 0; n < c.batch; ++n) {
    for (int64_t o = 0; o < c.out; ++o) {
      const int64_t first = o / (c.out / c.group) * channels;
      for (int64_t oy = 0; oy < oh; ++oy) {
        for (int64_t ox = 0; ox < ow; ++ox) {
          float sum = bias.data<float>()[o];
          for (int64_t ky = 0; ky < c.kernel; ++ky) {
            for (int64_t kx = 0; kx < c.kernel; ++kx) {
              const int64_t iy = oy * c.stride - c.pad + ky * c.dilation,
                            ix = ox * c.stride - c.pad + kx * c.dilation;
              if (iy < 0 || iy >= c.height || ix < 0 || ix >= c.width) continue;
              for (int64_t i = 0; i < channels; ++i) {
                sum = std::fma(w.data<float>()[((o * channels + i) * c.kernel + ky) * c.kernel + kx],
                               x.data<float>()[((n * c.in + first + i) * c.height + iy) * c.width + ix], sum);
              }
            }
          }
          *out++ = sum;
        }
      }
    }
  }
  return y;
}

TEST(Conv, EqualsTheDefinitionInOrderOfTapsThenChannelsBitForBit) {
  const Case cases[] = {
      {1, 3, 8, 1, 17, 19, 3, 2, 1, 1},
      {2, 5, 7, 1, 9, 9, 1, 1, 1, 0},
      {1, 16, 33, 1, 14, 14, 3, 1, 1, 1},
      {1, 6, 6, 6, 20, 37, 3, 1, 1, 1},
      {2, 6, 6, 6, 21, 41, 5, 2, 1, 2},
      {1, 4, 8, 4, 12, 13, 3, 1, 2, 2},
      {1, 8, 12, 4, 11, 10, 3, 1, 1, 1},
      {1, 4, 4, 1, 9, 9, 1, 2, 1, 0},
      {1, 64, 20, 1, 7, 7, 5, 3, 1, 2},
      {1, 3, 3, 3, 8, 40, 3, 3, 1, 4},
      {1, 2, 3, 1, 5, 6, 3, 1, 3, 3},
      {1, 1, 1, 1, 2, 2, 3, 1, 1, 1},
      {1, 4, 9, 1, 12, 13, 3, 1, 1, 0},
      {2, 6, 8, 2, 12, 13, 3, 1, 2, 0},
      {1, 8, 200, 1, 3, 5, 1, 1, 1, 0},
      {1, 3, 8, 1, 95, 91, 1, 1, 1, 0},
      {1, 8, 8, 8, 15, 14, 5, 1, 1, 2},
      {1, 8, 8, 8, 15, 7, 3, 2, 1, 1},
      // Channels that go together, with some left over, and images.
      {3, 33, 33, 33, 14, 14, 3, 1, 1, 1},
      {2, 47, 47, 47, 30, 29, 3, 2, 1, 1},
      {2, 17, 34, 17, 9, 8, 3, 1, 1, 1},
      {2, 18, 18, 18, 40, 40, 7, 1, 1, 3},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(::testing::Message()
                 << c.in << "x" << c.height << "x" << c.width << " -> " << c.out << " group " << c.group
                 << " kernel " << c.kernel << " stride " << c.stride);
    const Tensor x = RandomTensor({c.batch, c.in, c.height, c.width}, 1);
    const Tensor w = RandomTensor({c.out, c.in / c.group, c.kernel, c.kernel}, 2),
                 bias = RandomTensor({c.out}, 3);
    const Tensor want = NaiveConv(c, x, w, bias);
    for (int threads : {1, 3}) {
      EvalOptions options;
      options.threads = threads;
      options.constant_inputs = {false, threads == 1, true};
      EXPECT_EQ(Values<float>(Eval1("Conv", {x, w, bias}, AttributesOf(c), options)), Values<float>(want));
    }
  }
}

// A signal: one spatial dimension.
struct Signal {
  int64_t in, out, group, length, kernel, stride, dilation, pad;
};

Attributes AttributesOf(const Signal& s, const Shape& axes) {
  Attributes attributes = {{"group", Attribute::Int(s.group)}};
  std::vector<int64_t> strides, dilations, pads;
  for (const int64_t axis : axes) {
    strides.push_back(axis ? s.stride : 3);  // of an axis along which nothing moves
    dilations.push_back(axis ? s.dilation : 2);
    pads.push_back(axis ? s.pad : 0);
  }
  for (size_t i = 0; i < axes.size(); ++i) pads.push_back(pads[i]);
  attributes["strides"] = Attribute::Ints(strides);
  attributes["dilations"] = Attribute::Ints(dilations);
  attributes["pads"] = Attribute::Ints(pads);
  return attributes;
}

// `first` and a spatial shape of `length` where `axes` has a 1, else 1.
Shape WithAxes(Shape first, const Shape& axes, int64_t length) {
  for (const int64_t axis : axes) first.push_back(axis ? length : 1);
  return first;
}

// That the operator gives `want`, of length n, as rows, images of width or height 1 and volumes, bit for bit.
// x: [2, channels, length], w: [., ., kernel].
void ExpectAlongAllAxes(const char* op_type, const Signal& s, const std::vector<Tensor>& x_w_bias, int64_t n,
                        const std::vector<float>& want) {
  const Shape all_axes[] = {{1}, {1, 0}, {0, 1}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
  const Tensor &x = x_w_bias[0], &w = x_w_bias[1];
  for (const Shape& axes : all_axes) {
    SCOPED_TRACE(::testing::Message() << s.in << " -> " << s.out << " kernel " << s.kernel << " stride "
                                      << s.stride << " along " << ToString(axes));
    const Tensor y = Eval1(op_type,
                           {x.Reshaped(WithAxes({2, s.in}, axes, s.length)),
                            w.Reshaped(WithAxes({w.dim(0), w.dim(1)}, axes, s.kernel)), x_w_bias[2]},
                           AttributesOf(s, axes));
    EXPECT_EQ(y.shape(), WithAxes({2, s.out}, axes, n));
    EXPECT_EQ(Values<float>(y), want);
  }
}

// With planes that are convolved one by one and as a matrix product.
TEST(Conv, OfSignalsEqualsTheDefinitionWhicheverAxisTheyLieAlong) {
  const Signal signals[] = {
      {1, 40, 1, 700, 512, 4, 1, 0}, {1, 3, 1, 700, 300, 7, 1, 11},  {1, 4, 1, 900, 31, 160, 1, 3},
      {3, 20, 1, 70, 9, 1, 1, 4},    {16, 16, 16, 60, 31, 1, 1, 15}, {4, 16, 4, 50, 3, 2, 3, 3},
      {6, 6, 3, 33, 5, 3, 2, 0},     {2, 2, 2, 600, 540, 1, 1, 9},   {5, 7, 1, 4, 3, 1, 1, 0}};
  for (const Signal& s : signals) {
    const int64_t channels = s.in / s.group, out = s.out / s.group;
    const int64_t n = (s.length + 2 * s.pad - (s.kernel - 1) * s.dilation - 1) / s.stride + 1;
    const Tensor x = RandomTensor({2, s.in, s.length}, 1), w = RandomTensor({s.out, channels, s.kernel}, 2),
                 bias = RandomTensor({s.out}, 3);
    std::vector<float> want;
    for (int64_t i = 0; i < 2 * s.out * n; ++i) {
      const int64_t batch = i / n / s.out, o = i / n % s.out, first = (batch * s.in + o / out * channels);
      float sum = bias.data<float>()[o];
      for (int64_t k = 0; k < s.kernel; ++k) {
        const int64_t at = i % n * s.stride + k * s.dilation - s.pad;
        for (int64_t c = 0; c < channels && at >= 0 && at < s.length; ++c)
          sum = std::fma(w.data<float>()[(o * channels + c) * s.kernel + k],
                         x.data<float>()[(first + c) * s.length + at], sum);
      }
      want.push_back(sum);
    }
    ExpectAlongAllAxes("Conv", s, {x, w, bias}, n, want);
  }
}

// Bias, then the taps' products, each a chain over input channels; taps that fall outside are left out.
TEST(ConvTranspose, OfSignalsEqualsTheDefinitionWhicheverAxisTheyLieAlong) {
  const Signal signals[] = {{6, 4, 1, 40, 9, 1, 1, 4}, {4, 6, 2, 21, 16, 8, 1, 4}, {3, 3, 3, 17, 4, 2, 2, 1},
                            {2, 1, 1, 3, 40, 1, 1, 0}, {2, 1, 1, 2, 9, 1, 1, 4},   {2, 2, 1, 5, 5, 3, 1, 7}};
  for (const Signal& s : signals) {
    const int64_t channels = s.in / s.group, out = s.out / s.group;
    const int64_t n = (s.length - 1) * s.stride + (s.kernel - 1) * s.dilation + 1 - 2 * s.pad;
    const Tensor x = RandomTensor({2, s.in, s.length}, 4), w = RandomTensor({s.in, out, s.kernel}, 5),
                 bias = RandomTensor({s.out}, 6);
    std::vector<float> want;
    for (int64_t i = 0; i < 2 * s.out * n; ++i) {
      const int64_t batch = i / n / s.out, o = i / n % s.out, first = o / out * channels;
      float sum = bias.data<float>()[o];
      for (int64_t k = 0; k < s.kernel; ++k) {
        const int64_t from = i % n + s.pad - k * s.dilation, at = from / s.stride;
        if (from < 0 || from % s.stride != 0 || at >= s.length) continue;
        float product = 0;
        for (int64_t c = first; c < first + channels; ++c)
          product = std::fma(w.data<float>()[(c * out + o % out) * s.kernel + k],
                             x.data<float>()[(batch * s.in + c) * s.length + at], product);
        sum += product;
      }
      want.push_back(sum);
    }
    ExpectAlongAllAxes("ConvTranspose", s, {x, w, bias}, n, want);
  }
}

// An axis of one element between others: rows and columns keep their order.
TEST(Conv, OfVolumesOfHeightOneEqualsThatOfImages) {
  const Tensor x = RandomTensor({1, 3, 9, 11}, 7), w = RandomTensor({20, 3, 4, 3}, 8);
  const Tensor want = Eval1("Conv", {x, w}, {{"strides", Attribute::Ints({2, 1})}});
  for (const auto& [image, kernel, strides] : std::vector<std::tuple<Shape, Shape, std::vector<int64_t>>>{
           {{1, 3, 9, 1, 11}, {20, 3, 4, 1, 3}, {2, 5, 1}},
           {{1, 3, 9, 11, 1}, {20, 3, 4, 3, 1}, {2, 1, 5}}}) {
    const Tensor y =
        Eval1("Conv", {x.Reshaped(image), w.Reshaped(kernel)}, {{"strides", Attribute::Ints(strides)}});
    EXPECT_EQ(Values<float>(y), Values<float>(want));
  }
}

// <conv(x, w), y> == <x, conv_transpose(y, w)>: each is the other's adjoint.
TEST(ConvTranspose, IsTheAdjointOfConv) {
  const Case cases[] = {
      {1, 3, 4, 1, 9, 11, 3, 2, 1, 1}, {2, 4, 6, 2, 8, 8, 3, 1, 2, 2}, {1, 2, 2, 1, 6, 8, 2, 2, 1, 0}};
  for (const Case& c : cases) {
    const Tensor x = RandomTensor({c.batch, c.in, c.height, c.width}, 4);
    const Tensor w = RandomTensor({c.out, c.in / c.group, c.kernel, c.kernel}, 5);
    const Tensor forward = Eval1("Conv", {x, w}, AttributesOf(c));
    const Tensor y = RandomTensor(forward.shape(), 6);
    const Tensor back = Eval1("ConvTranspose", {y, w}, AttributesOf(c));
    ASSERT_EQ(back.shape(), x.shape());
    double left = 0, right = 0;
    for (int64_t i = 0; i < y.size(); ++i)
      left += static_cast<double>(forward.data<float>()[i]) * y.data<float>()[i];
    for (int64_t i = 0; i < x.size(); ++i)
      right += static_cast<double>(x.data<float>()[i]) * back.data<float>()[i];
    EXPECT_NEAR(left, right, 1e-3);
  }
}

TEST(Conv, SameUpperPutsTheOddPadAtTheEnd) {
  const Tensor x = F({1, 1, 4}, {1, 2, 3, 4}), w = F({1, 1, 2}, {1, 10});
  EXPECT_EQ(Values<float>(Eval1("Conv", {x, w}, {{"auto_pad", Attribute::String("SAME_UPPER")}})),
            (std::vector<float>{21, 32, 43, 4}));
  EXPECT_EQ(Values<float>(Eval1("Conv", {x, w}, {{"auto_pad", Attribute::String("SAME_LOWER")}})),
            (std::vector<float>{10, 21, 32, 43}));
}

TEST(Conv, ThreeDimensionsSumTheWholeWindow) {
  const Tensor x = F({1, 1, 2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}),
               w = F({1, 1, 2, 2, 2}, {1, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_EQ(Values<float>(Eval1("Conv", {x, w})), (std::vector<float>{36}));
}

TEST(Conv, ClampAttributesBoundTheResult) {
  const Tensor x = F({1, 1, 3}, {-2, 0.5, 9}), w = F({1, 1, 1}, {1});
  EXPECT_EQ(Values<float>(
                Eval1("Conv", {x, w},
                      {{"xslim_clamp_lo", Attribute::Float(0)}, {"xslim_clamp_hi", Attribute::Float(6)}})),
            (std::vector<float>{0, 0.5, 6}));
}

TEST(ConvTranspose, OutputShapeAndOutputPadding) {
  const Tensor x = F({1, 1, 2}, {1, 2}), w = F({1, 1, 2}, {1, 10}), bias = F({1}, {100});
  EXPECT_EQ(
      Values<float>(Eval1("ConvTranspose", {x, w, bias},
                          {{"strides", Attribute::Ints({3})}, {"output_padding", Attribute::Ints({1})}})),
      (std::vector<float>{101, 110, 100, 102, 120, 100}));
  EXPECT_EQ(Eval1("ConvTranspose", {x, w},
                  {{"strides", Attribute::Ints({2})}, {"output_shape", Attribute::Ints({3})}})
                .shape(),
            (Shape{1, 1, 3}));
}

TEST(Conv, RefusesWeightsOfOtherChannels) {
  EXPECT_THROW(Eval1("Conv", {F({1, 2, 3}, {1, 2, 3, 4, 5, 6}), F({1, 1, 1}, {1})}), Error);
}

TEST(MatMul, BroadcastsBatchesAndVectors) {
  const Tensor a = F({2, 1, 1, 2}, {1, 2, 3, 4}), b = F({3, 2, 1}, {1, 1, 10, 1, 1, 10});
  const Tensor y = Eval1("MatMul", {a, b});
  EXPECT_EQ(y.shape(), (Shape{2, 3, 1, 1}));
  EXPECT_EQ(Values<float>(y), (std::vector<float>{3, 12, 21, 7, 34, 43}));
  EXPECT_EQ(Eval1("MatMul", {F({2}, {1, 2}), F({2}, {3, 4})}).shape(), Shape{});
  EXPECT_EQ(Values<int64_t>(Eval1("MatMul", {I64({1, 2}, {1, 2}), I64({2, 1}, {3, 4})})),
            (std::vector<int64_t>{11}));
  EXPECT_THROW(Eval1("MatMul", {F({2}, {1, 2}), F({3}, {3, 4, 5})}), Error);
}

TEST(Gemm, TransposesScalesAndBroadcastsC) {
  const Tensor a = F({2, 2}, {1, 2, 3, 4}), b = F({2, 2}, {1, 0, 1, 1});
  const Attributes both{{"transA", Attribute::Int(1)},
                        {"transB", Attribute::Int(1)},
                        {"alpha", Attribute::Float(2)},
                        {"beta", Attribute::Float(10)}};
  // A' B' = [[1, 4], [2, 6]]
  EXPECT_EQ(Values<float>(Eval1("Gemm", {a, b, F({2}, {1, 2})}, both)), (std::vector<float>{12, 28, 14, 32}));
  EXPECT_EQ(Values<float>(Eval1("Gemm", {a, b, F({2, 1}, {1, 2})}, both)),
            (std::vector<float>{12, 18, 24, 32}));
  EXPECT_EQ(Values<float>(Eval1("Gemm", {a, b, F({}, {1})}, both)), (std::vector<float>{12, 18, 14, 22}));
  EXPECT_EQ(Values<float>(Eval1("Gemm", {a, b}, both)), (std::vector<float>{2, 8, 4, 12}));
}

TEST(MatMulInteger, TakesZeroPointsOff) {
  const Tensor a = Tensor::Of<uint8_t>({2, 2}, {11, 12, 13, 14}),
               b = Tensor::Of<int8_t>({2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(Values<int32_t>(
                Eval1("MatMulInteger", {a, b, Tensor::Scalar<uint8_t>(10), Tensor::Of<int8_t>({2}, {1, 2})})),
            (std::vector<int32_t>{4, 4, 8, 8}));
}

}  // namespace
}  // namespace xslim::testing
