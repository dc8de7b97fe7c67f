#include "runtime/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <set>

#include "noise.h"
#include "runtime/buffer_pool.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::HasSubstr;

Graph Empty(int64_t opset) {
  Graph graph;
  graph.opset_imports[""] = opset;
  return graph;
}

ValueId Input(Graph& graph, const std::string& name) {
  const ValueId id = graph.AddValue(name, DType::kFloat);
  graph.AddInput(id);
  return id;
}

std::string MessageOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

class ExecutorTest : public ::testing::Test {
 protected:
  ThreadPool pool_{2};
};

// x -> Softmax -> s -> ... -> Softmax -> y
TEST_F(ExecutorTest, TapsSeeEveryValueInOrder) {
  Graph graph = Empty(13);
  const ValueId x = Input(graph, "x");
  const ValueId a = graph.AddValue("a"), y = graph.AddValue("y");
  graph.AddNode("Softmax", "first", {x}, {a});
  graph.AddNode("Softmax", "second", {a}, {y});
  graph.AddOutput(y);
  Executor executor(graph, pool_);
  std::vector<ValueId> seen;
  executor.SetTaps({x, a, y}, [&](ValueId id, const Tensor& tensor) {
    EXPECT_EQ(tensor.shape(), (Shape{2, 3}));
    seen.push_back(id);
  });
  executor.Run({Noise({2, 3}, 1, 8)});
  EXPECT_EQ(seen, (std::vector<ValueId>{x, a, y}));
  EXPECT_THROW(executor.SetTaps({}, nullptr), Error);
}

TEST_F(ExecutorTest, ShapesMayChangeFromRunToRun) {
  Graph graph = Empty(13);
  const ValueId x = Input(graph, "x"), y = graph.AddValue("y");
  graph.AddNode("Softmax", "softmax", {x}, {y});
  graph.AddOutput(y);
  Executor executor(graph, pool_);
  EXPECT_EQ(executor.Run({Noise({2, 3}, 1, 8)})[0].shape(), (Shape{2, 3}));
  EXPECT_EQ(executor.Run({Noise({5}, 1, 8)})[0].shape(), (Shape{5}));
}

TEST_F(ExecutorTest, ErrorsNameTheNode) {
  Graph graph = Empty(13);
  const ValueId x = Input(graph, "x"), y = graph.AddValue("y");
  const NodeId id = graph.AddNode("Softmax", "soft", {x}, {y}, {{"axis", Attribute::Int(7)}});
  graph.AddOutput(y);
  {
    Executor executor(graph, pool_, {.skip_unknown = false});
    const std::string text = MessageOf([&] { executor.Run({Noise({2, 3}, 1, 8)}); });
    EXPECT_THAT(text, HasSubstr("soft[Softmax] (ai.onnx Softmax, opset 13)"));
    EXPECT_THAT(text, HasSubstr("axis 7"));
    EXPECT_THAT(MessageOf([&] { executor.Run({}); }), HasSubstr("0 inputs instead of 1"));
    EXPECT_THAT(MessageOf([&] { executor.Run({Tensor::Scalar<int32_t>(1)}); }), HasSubstr("input x"));
  }
  graph.node(id).op_type = "Sofmax";
  const std::string text = MessageOf([&] { Executor executor(graph, pool_, {.skip_unknown = false}); });
  EXPECT_THAT(text, HasSubstr("operator Sofmax (ai.onnx, version 13) is not known: soft[Sofmax]"));
}

// x -> QuantizeLinear -> q -> two DequantizeLinear
TEST_F(ExecutorTest, FusedQuantizeDequantizeGivesTheSameBits) {
  for (const Tensor& zero : {Tensor::Scalar<int8_t>(-5), Tensor::Scalar<int8_t>(0)}) {
    Graph graph = Empty(13);
    const ValueId x = Input(graph, "x"), q = graph.AddValue("q");
    const ValueId y = graph.AddValue("y"), z = graph.AddValue("z");
    const ValueId s = graph.AddConstant("s", Tensor::Scalar(0.03f)), p = graph.AddConstant("p", zero);
    graph.AddNode("QuantizeLinear", "quantize", {x, s, p}, {q});
    graph.AddNode("DequantizeLinear", "dequantize", {q, s, p}, {y});
    graph.AddNode("DequantizeLinear", "dequantize2", {q, s, p}, {z});
    graph.AddOutput(y);
    graph.AddOutput(z);
    Tensor input = Noise({100003}, 7, 8);
    input.data<float>()[5] = std::numeric_limits<float>::infinity();
    input.data<float>()[6] = std::nanf("");
    input.data<float>()[7] = 0.015f;
    ExecutorOptions unfused;
    unfused.fuse = false;
    Executor one(graph, pool_), two(graph, pool_, unfused);
    const std::vector<Tensor> a = one.Run({input}), b = two.Run({input});
    EXPECT_TRUE(a[0].SameBytes(b[0]));
    EXPECT_TRUE(a[1].SameBytes(b[1]));
    EXPECT_FALSE(a[0].SameBytes(input));
  }
}

TEST_F(ExecutorTest, APairThatQuantizesNothingIsAnError) {
  Graph graph = Empty(13);
  const ValueId q = graph.AddValue("q"), y = graph.AddValue("y");
  const ValueId s = graph.AddConstant("s", Tensor::Scalar(0.03f)),
                p = graph.AddConstant("p", Tensor::Scalar<int8_t>(0));
  graph.AddNode("QuantizeLinear", "quantize", {kNone, s, p}, {q});
  graph.AddNode("DequantizeLinear", "dequantize", {q, s, p}, {y});
  graph.AddOutput(y);
  EXPECT_THROW(Executor(graph, pool_, {.skip_unknown = false}).Run({}), Error);
}

TEST_F(ExecutorTest, FusedConvClipGivesTheSameBitsUnlessTapped) {
  Graph graph = Empty(13);
  const ValueId x = Input(graph, "x");
  const ValueId w = graph.AddConstant("w", Noise({8, 3, 3, 3}, 2, 8)),
                bias = graph.AddConstant("b", Noise({8}, 3, 8));
  const ValueId lo = graph.AddConstant("lo", Tensor::Scalar(-1.0f)),
                hi = graph.AddConstant("hi", Tensor::Scalar(6.0f));
  const ValueId c = graph.AddValue("c"), r = graph.AddValue("r"), y = graph.AddValue("y");
  const ValueId w2 = graph.AddConstant("w2", Noise({4, 8, 1, 1}, 4, 8)), d = graph.AddValue("d");
  graph.AddNode("Conv", "conv", {x, w, bias}, {c});
  graph.AddNode("Clip", "clip", {c, lo, hi}, {r});
  graph.AddNode("Conv", "conv2", {r, w2}, {d});
  graph.AddNode("Relu", "relu", {d}, {y});
  graph.AddOutput(y);
  const Tensor input = Noise({1, 3, 19, 23}, 5, 8);
  ExecutorOptions unfused;
  unfused.fuse = false;
  Executor one(graph, pool_), two(graph, pool_, unfused), tapped(graph, pool_);
  bool below = false;
  tapped.SetTaps({c, d}, [&](ValueId, const Tensor& tensor) {
    for (int64_t i = 0; i < tensor.size(); ++i) below |= tensor.data<float>()[i] < -1;
  });
  const Tensor a = one.Run({input})[0];
  EXPECT_TRUE(a.SameBytes(two.Run({input})[0]));
  EXPECT_TRUE(a.SameBytes(tapped.Run({input})[0]));
  EXPECT_TRUE(below);  // the taps saw values before the clamp
  EXPECT_TRUE(a.SameBytes(one.Run({input})[0]));
}

TEST_F(ExecutorTest, ConstantsAreFoldedAndStillTapped) {
  Graph graph = Empty(13);
  const ValueId x = Input(graph, "x"), w = graph.AddValue("w"), y = graph.AddValue("y");
  const ValueId codes = graph.AddConstant("codes", Tensor::Of<int8_t>({3}, {1, 2, 3}));
  const ValueId s = graph.AddConstant("s", Tensor::Scalar(0.5f));
  graph.AddNode("DequantizeLinear", "dequantize", {codes, s}, {w});
  graph.AddNode("Softmax", "softmax", {x}, {y});
  graph.AddOutput(w);
  graph.AddOutput(y);
  Executor executor(graph, pool_);
  int calls = 0;
  executor.SetTaps({w}, [&](ValueId, const Tensor&) { ++calls; });
  for (int run = 0; run < 2; ++run) {
    const Tensor result = executor.Run({Noise({4}, 1, 8)})[0];
    EXPECT_TRUE(result.SameBytes(Tensor::Of<float>({3}, {0.5f, 1.0f, 1.5f})));
  }
  EXPECT_EQ(calls, 2);
}

// Conv, then SiLU, HardSwish or Sigmoid: fused and not, the bits are the same.
TEST_F(ExecutorTest, WhatFollowsAConvolutionIsFusedWithoutChangingBits) {
  for (const std::string then : {"silu", "HardSwish", "Sigmoid"}) {
    for (const bool depthwise : {false, true}) {
      Graph graph = Empty(14);
      const ValueId x = Input(graph, "x");
      const ValueId c = graph.AddValue("c", DType::kFloat), s = graph.AddValue("s", DType::kFloat),
                    y = graph.AddValue("y", DType::kFloat);
      const ValueId w = graph.AddConstant("w", Noise({8, depthwise ? 1 : 8, 3, 3}, 3, 8));
      graph.AddNode("Conv", "conv", {x, w}, {c}, {{"group", Attribute::Int(depthwise ? 8 : 1)}});
      if (then == "silu") {
        graph.AddNode("Sigmoid", "sigmoid", {c}, {s});
        graph.AddNode("Mul", "mul", {depthwise ? s : c, depthwise ? c : s}, {y});
      } else {
        graph.AddNode(then, "then", {c}, {y});
      }
      graph.AddOutput(y);
      const std::vector<Tensor> inputs{Noise({1, 8, 19, 23}, 5, 8)};
      Executor fused(graph, pool_, {.profile = true}), plain(graph, pool_, {.fuse = false});
      EXPECT_TRUE(fused.Run(inputs)[0].SameBytes(plain.Run(inputs)[0])) << then;
      EXPECT_EQ(fused.Profile().size(), 1u) << then;
      Executor tapped(graph, pool_, {.profile = true});
      int taps = 0;
      tapped.SetTaps({c}, [&](ValueId, const Tensor&) { ++taps; });
      EXPECT_TRUE(tapped.Run(inputs)[0].SameBytes(plain.Run(inputs)[0])) << then;
      EXPECT_EQ(taps, 1);
    }
  }
}

// Conv, perhaps Clip or SiLU, QuantizeLinear, two DequantizeLinear: one pass, the same bits.
TEST_F(ExecutorTest, QuantizationBehindAConvolutionIsFusedWithoutChangingBits) {
  for (const std::string then : {"", "Clip", "silu"}) {
    for (const bool depthwise : {false, true}) {
      Graph graph = Empty(13);
      const ValueId x = Input(graph, "x");
      const ValueId w = graph.AddConstant("w", Noise({8, depthwise ? 1 : 8, 3, 3}, 3, 8));
      const ValueId scale = graph.AddConstant("scale", Tensor::Scalar(0.03f)),
                    zero = graph.AddConstant("zero", Tensor::Scalar<uint8_t>(100));
      const ValueId c = graph.AddValue("c", DType::kFloat), q = graph.AddValue("q"), y = graph.AddValue("y"),
                    z = graph.AddValue("z");
      ValueId last = c;
      graph.AddNode("Conv", "conv", {x, w}, {c}, {{"group", Attribute::Int(depthwise ? 8 : 1)}});
      if (then == "Clip") {
        last = graph.AddValue("clipped", DType::kFloat);
        const ValueId lo = graph.AddConstant("lo", Tensor::Scalar(-1.0f));
        graph.AddNode("Clip", "clip", {c, lo}, {last});
      } else if (then == "silu") {
        const ValueId gate = graph.AddValue("gate", DType::kFloat);
        last = graph.AddValue("silu", DType::kFloat);
        graph.AddNode("Sigmoid", "sigmoid", {c}, {gate});
        graph.AddNode("Mul", "mul", {c, gate}, {last});
      }
      graph.AddNode("QuantizeLinear", "quantize", {last, scale, zero}, {q});
      graph.AddNode("DequantizeLinear", "dequantize", {q, scale, zero}, {y});
      graph.AddNode("DequantizeLinear", "dequantize2", {q, scale, zero}, {z});
      graph.AddOutput(y);
      graph.AddOutput(z);
      const std::vector<Tensor> inputs{Noise({1, 8, 19, 23}, 5, 8)};
      Executor fused(graph, pool_, {.profile = true}), plain(graph, pool_, {.fuse = false});
      const auto got = fused.Run(inputs), want = plain.Run(inputs);
      EXPECT_TRUE(got[0].SameBytes(want[0])) << then;
      EXPECT_TRUE(got[1].SameBytes(want[1])) << then;
      EXPECT_EQ(fused.Profile().size(), 1u) << then;
      Executor tapped(graph, pool_);
      bool unrounded = false;
      tapped.SetTaps({last}, [&](ValueId, const Tensor& tensor) { unrounded = !tensor.SameBytes(want[0]); });
      EXPECT_TRUE(tapped.Run(inputs)[0].SameBytes(want[0])) << then;
      EXPECT_TRUE(unrounded);
    }
  }
}

TEST_F(ExecutorTest, ClonesShareWeightsAndRunSideBySide) {
  Graph graph = Empty(13);
  const ValueId x = Input(graph, "x");
  const ValueId a = graph.AddValue("a"), r = graph.AddValue("r"), y = graph.AddValue("y");
  const ValueId w = graph.AddConstant("w", Noise({16, 8, 3, 3}, 3, 8)),
                v = graph.AddConstant("v", Noise({4, 16, 1, 1}, 4, 8));
  graph.AddNode("Conv", "first", {x, w}, {a});
  graph.AddNode("Relu", "relu", {a}, {r});
  graph.AddNode("Conv", "second", {r, v}, {y});
  graph.AddOutput(y);
  std::vector<Tensor> seen(4), expected;
  Executor source(graph, pool_);
  source.SetTaps({r}, [&](ValueId, const Tensor& tensor) { seen[0] = tensor.Clone(); });
  for (uint64_t i = 0; i < 4; ++i) expected.push_back(source.Run({Noise({1, 8, 12, 12}, 10 + i, 8)})[0]);
  std::vector<std::unique_ptr<Executor>> clones;
  ThreadPool one(1);
  for (size_t i = 0; i < 4; ++i) {
    clones.push_back(
        source.Clone(one, [&seen, i](ValueId, const Tensor& tensor) { seen[i] = tensor.Clone(); }));
  }
  ThreadPool four(4);
  four.ParallelFor(4, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      for (int repeat = 0; repeat < 20; ++repeat) {
        const auto outputs =
            clones[static_cast<size_t>(i)]->Run({Noise({1, 8, 12, 12}, static_cast<uint64_t>(10 + i), 8)});
        EXPECT_TRUE(outputs[0].SameBytes(expected[static_cast<size_t>(i)]));
      }
    }
  });
  for (const Tensor& tensor : seen) EXPECT_EQ(tensor.shape(), Shape({1, 16, 10, 10}));
  EXPECT_GE(source.buffer_bytes(), 16 * 100 * 4);
}

TEST(BufferPoolTest, SameRequestsGetSamePlaces) {
  BufferPool buffers;
  std::vector<const std::byte*> places;
  for (int round = 0; round < 3; ++round) {
    std::vector<const std::byte*> now;
    const auto request = [&](size_t bytes) {
      auto block = buffers.Allocate(bytes);
      std::fill_n(block.get(), bytes, std::byte{1});
      now.push_back(block.get());
      return block;
    };
    auto a = request(1 << 20);
    auto b = request(3 << 20);
    a.reset();
    auto c = request(10);
    auto d = request(1 << 19);  // beside c, where a was
    EXPECT_LT(d.get(), b.get());
    b.reset();
    auto e = request(4 << 20);
    if (round == 0) places = now;
    EXPECT_EQ(now, places);
    for (const std::byte* place : now) EXPECT_EQ(reinterpret_cast<uintptr_t>(place) % 64, 0u);
  }
  const BufferPool::Usage usage = buffers.usage();
  EXPECT_EQ(usage.used, 0u);
  EXPECT_EQ(usage.areas, 1u);
  EXPECT_LE(usage.touched, usage.peak_used + usage.peak_used / 2);
}

TEST(BufferPoolTest, BlocksOutliveThePool) {
  std::shared_ptr<std::byte> block;
  {
    BufferPool buffers;
    const auto before = buffers.Allocate(100000);
    block = buffers.Allocate(100000);
    const auto large = buffers.Allocate(size_t{40} << 20);  // an area of its own
    std::fill_n(block.get(), 100000, std::byte{7});
    EXPECT_EQ(buffers.usage().areas, 2u);
  }
  EXPECT_EQ(std::count(block.get(), block.get() + 100000, std::byte{7}), 100000);
}

TEST(BufferPoolTest, GivesBackWhatNoRunNeedsAnyMore) {
  BufferPool buffers;
  auto first = buffers.Allocate(size_t{20} << 20);
  { auto second = buffers.Allocate(size_t{30} << 20); }
  constexpr size_t kGaps = 4096;  // AddressSanitizer's come on top
  EXPECT_GE(buffers.usage().touched, size_t{50} << 20);
  EXPECT_LE(buffers.usage().touched, (size_t{50} << 20) + kGaps);
  first.reset();
  { auto other = buffers.Allocate(size_t{70} << 20); }  // fits into neither area
  EXPECT_LE(buffers.usage().touched, size_t{105} << 20);
  { auto other = buffers.Allocate(size_t{70} << 20); }
  const size_t asked = buffers.usage().areas;
  for (int run = 0; run < 3; ++run) auto other = buffers.Allocate(size_t{70} << 20);
  EXPECT_EQ(buffers.usage().areas, asked);  // the next runs of that shape find their memory
  EXPECT_GE(buffers.usage().touched, size_t{70} << 20);
  EXPECT_LE(buffers.usage().touched, (size_t{70} << 20) + kGaps);
}

// Each block is too large for the room before it: much lies free between the blocks of any such run.
TEST(BufferPoolTest, KeepsWhatARunOfOneShapeNeeds) {
  BufferPool buffers;
  size_t asked = 0;
  for (int run = 0; run < 4; ++run) {
    std::shared_ptr<std::byte> last;
    for (size_t size = 1 << 16; size < size_t{24} << 20; size = size / 10 * 17) {
      std::shared_ptr<std::byte> next = buffers.Allocate(size);
      last = std::move(next);
    }
    last.reset();
    const BufferPool::Usage usage = buffers.usage();
    EXPECT_GT(2 * usage.touched, 3 * usage.peak_used);
    if (run == 0) asked = usage.areas;
    EXPECT_EQ(usage.areas, asked);
  }
}

// x -> Gemm with int8 weights behind a DequantizeLinear -> y. Its float weights go once they are packed.
TEST_F(ExecutorTest, PackedWeightsServeEveryLaterRun) {
  Graph graph = Empty(13);
  const ValueId x = Input(graph, "x");
  std::vector<int8_t> codes(6 * 4);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<int8_t>(5 * static_cast<int>(i) - 60);
  const ValueId w = graph.AddValue("w"), y = graph.AddValue("y");
  graph.AddNode("DequantizeLinear", "dq",
                {graph.AddConstant("q", Tensor::Of<int8_t>({6, 4}, codes)),
                 graph.AddConstant("s", Tensor::Scalar(0.25f))},
                {w});
  graph.AddNode("Gemm", "gemm", {x, w}, {y});
  graph.AddOutput(y);
  Executor executor(graph, pool_), tapped(graph, pool_);
  int seen = 0;
  tapped.SetTaps({w}, [&](ValueId, const Tensor& tensor) {
    ++seen;
    EXPECT_EQ(tensor.data<float>()[1], -55 * 0.25f);
  });
  for (const int64_t rows : {3, 3, 5}) {
    const Tensor input = Noise({rows, 6}, 7, 8), result = executor.Run({input})[0];
    EXPECT_TRUE(result.SameBytes(tapped.Run({input})[0]));
    ThreadPool one(1);
    EXPECT_TRUE(result.SameBytes(executor.Clone(one, nullptr)->Run({input})[0]));
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (int64_t k = 0; k < 6; ++k)
        sum +=
            static_cast<double>(input.data<float>()[r * 6 + k]) * codes[static_cast<size_t>(k * 4 + 2)] / 4;
      EXPECT_NEAR(result.data<float>()[r * 4 + 2], sum, 1e-4);
    }
  }
  EXPECT_EQ(seen, 3);  // a value that somebody looks at stays
}

TEST_F(ExecutorTest, ExecutorsThatTakeTurnsShareAnArena) {
  Graph graph = Empty(13);
  const ValueId x = Input(graph, "x"), y = graph.AddValue("y");
  graph.AddNode("Relu", "relu", {x}, {y});
  graph.AddOutput(y);
  ExecutorOptions options;
  options.buffers = std::make_shared<BufferPool>();
  Executor first(graph, pool_, options);
  const Tensor input = Noise({64, 1024}, 3, 8);
  first.Run({input});
  const size_t held = options.buffers->usage().touched;
  EXPECT_GE(held, input.bytes());
  const std::unique_ptr<Executor> second = first.Clone(pool_, nullptr, options.buffers);
  const Tensor kept = second->Run({input})[0];
  EXPECT_EQ(options.buffers->usage().touched, held);
  const Tensor other = first.Run({Noise({64, 1024}, 4, 8)})[0];  // does not write over what is still held
  EXPECT_EQ(options.buffers->usage().touched, 2 * held);
  EXPECT_TRUE(kept.SameBytes(second->Run({input})[0]));
  EXPECT_FALSE(kept.SameBytes(other));
}

// Weights that are folded first, so that they may go once they are packed; of the depthwise convolution over
// volumes they stay: with one layer of data another kernel reads them.
TEST_F(ExecutorTest, FoldedWeightsServeEveryLaterRun) {
  struct Case {
    const char* op_type;
    Shape weights;
    std::vector<Shape> data;
    int64_t group = 0;  // 0: no attribute
  };
  const std::vector<Shape> images{{1, 4, 6, 5}, {2, 4, 3, 8}, {1, 4, 6, 5}};
  for (const Case& each :
       {Case{"Conv", {5, 4, 1, 1}, images}, Case{"Conv", {5, 4, 3, 3}, images},
        Case{"Conv", {6, 2, 3, 3}, images, 2}, Case{"Conv", {4, 1, 3, 3}, images, 4},
        Case{"Conv", {5, 4, 3}, {{1, 4, 9}, {2, 4, 5}}},
        Case{
            "Conv", {2, 1, 1, 3, 3}, {{1, 2, 2, 6, 6}, {1, 2, 1, 6, 6}, {1, 2, 3, 6, 6}, {1, 2, 1, 6, 6}}, 2},
        Case{"ConvTranspose", {4, 3, 2, 2}, images, 2}, Case{"MatMul", {6, 5}, {{3, 6}, {2, 4, 6}, {6}}},
        Case{"MatMul", {2, 6, 5}, {{2, 3, 6}, {4, 6}}}, Case{"Gemm", {6, 5}, {{3, 6}, {5, 6}}}}) {
    Graph graph = Empty(13);
    const ValueId x = Input(graph, "x"), w = graph.AddValue("w"), y = graph.AddValue("y");
    graph.AddNode("Neg", "neg", {graph.AddConstant("c", Noise(each.weights, 5, 8))}, {w});
    graph.AddNode(each.op_type, "user", {x, w}, {y});
    if (each.group > 0) graph.node(graph.value(y).producer).attributes["group"] = Attribute::Int(each.group);
    graph.AddOutput(y);
    Executor executor(graph, pool_);
    for (const Shape& shape : each.data) {
      SCOPED_TRACE(each.op_type + ToString(each.weights) + ToString(shape));
      const Tensor input = Noise(shape, 7, 8), result = executor.Run({input})[0];
      Executor looked_at(graph, pool_);
      looked_at.SetTaps({w}, [](ValueId, const Tensor&) {});
      EXPECT_TRUE(result.SameBytes(looked_at.Run({input})[0]));
      ThreadPool one(1);
      EXPECT_TRUE(result.SameBytes(executor.Clone(one, nullptr)->Run({input})[0]));
    }
  }
}

// A product of constants whose result is too large to keep is computed anew, from weights that are still
// there.
TEST_F(ExecutorTest, DiscardedFoldsKeepTheirInputs) {
  Graph graph = Empty(13);
  const ValueId x = Input(graph, "x"), a = graph.AddValue("a"), b = graph.AddValue("b"),
                product = graph.AddValue("product"), y = graph.AddValue("y");
  graph.AddNode("Neg", "na", {graph.AddConstant("ca", Noise({5000, 2}, 1, 8))}, {a});
  graph.AddNode("Neg", "nb", {graph.AddConstant("cb", Noise({2, 4096}, 2, 8))}, {b});
  graph.AddNode("MatMul", "matmul", {a, b}, {product});
  graph.AddNode("ReduceMax", "largest", {product}, {y}, {{"keepdims", Attribute::Int(0)}});
  const ValueId sum = graph.AddValue("sum");
  graph.AddNode("Add", "add", {x, y}, {sum});
  graph.AddOutput(sum);
  Executor executor(graph, pool_);
  const Tensor zero = Tensor::Of<float>({1}, {0.0f});
  const float first = executor.Run({zero})[0].data<float>()[0];
  EXPECT_GT(first, 0.0f);
  EXPECT_EQ(executor.Run({zero})[0].data<float>()[0], first);
}

// A chain of many steps needs two buffers at a time, whatever its length.
TEST_F(ExecutorTest, LivenessBoundsTheBuffers) {
  Graph graph = Empty(13);
  ValueId at = Input(graph, "x");
  for (int i = 0; i < 20; ++i) {
    const ValueId next = graph.AddValue("v");
    graph.AddNode("Softmax", "softmax", {at}, {next});
    at = next;
  }
  graph.AddOutput(at);
  Executor executor(graph, pool_);
  std::vector<ValueId> all;
  for (size_t i = 0; i < graph.value_slots(); ++i) all.push_back(static_cast<ValueId>(i));
  std::set<const std::byte*> blocks;
  executor.SetTaps(all, [&](ValueId, const Tensor& tensor) { blocks.insert(tensor.raw()); });
  executor.Run({Noise({1 << 16}, 1, 8)});
  EXPECT_LE(blocks.size(), 3u);
}

}  // namespace
}  // namespace xslim
