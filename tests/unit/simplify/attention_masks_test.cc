// Attention as torch.export writes it: keys turned in matrices of batch x heads, masks that let everything
// pass, tests for rows that are masked whole.
#include <limits>

#include "rewrite_helper.h"

namespace xslim {
namespace {

using namespace testing;

constexpr float kInf = std::numeric_limits<float>::infinity();

ValueId Turned(Model* m, ValueId x, const std::vector<int64_t>& joined, const std::vector<int64_t>& perm,
               const std::vector<int64_t>& parted) {
  const ValueId matrices = m->Op("Reshape", {x, m->Ints(joined)});
  const ValueId turned = m->Op("Transpose", {matrices}, {{"perm", Is(perm)}});
  return m->Op("Reshape", {turned, m->Ints(parted)});
}

TEST(MergeTransposes, BetweenReshapesThatJoinAndPartTheSameAxes) {
  Model m;
  m.Output(Turned(&m, m.Input("x", {-1, 4, 5, 8}), {-1, 5, 8}, {0, 2, 1}, {-1, 4, 8, 5}));
  const Graph after = ExpectRewrite(m, {"merge-transposes"}, {{"Transpose", 1}});
  EXPECT_EQ(after.node(after.Order()[0]).Ints("perm"), (std::vector<int64_t>{0, 1, 3, 2}));

  // With the Transpose in front that takes the heads apart.
  Model heads;
  const ValueId split =
      heads.Op("Transpose", {heads.Input("x", {-1, 5, 4, 8})}, {{"perm", Is({0, 2, 1, 3})}});
  heads.Output(Turned(&heads, split, {-1, 5, 8}, {0, 2, 1}, {-1, 4, 8, 5}));
  ExpectRewrite(heads, {"merge-transposes"}, {{"Transpose", 1}});

  Model last;
  last.Output(Turned(&last, last.Input("x", {2, 3, 4, 5}), {2, 3, 20}, {2, 0, 1}, {4, 5, 2, 3}));
  ExpectRewrite(last, {"merge-transposes"}, {{"Transpose", 1}});
}

TEST(MergeTransposes, ReshapesThatPartOtherAxesStay) {
  Model other;
  other.Output(Turned(&other, other.Input("x", {-1, 4, 5, 8}), {-1, 5, 8}, {0, 2, 1}, {-1, 2, 8, 5}));
  ExpectUntouched(other, "merge-transposes");
  Model across;  // joins half of an axis
  across.Output(Turned(&across, across.Input("x", {4, 6, 5}), {8, 3, 5}, {0, 2, 1}, {4, 2, 5, 3}));
  ExpectUntouched(across, "merge-transposes");
  Model read;  // the turned matrices themselves are read, too
  const ValueId x = read.Input("x", {-1, 4, 5, 8});
  const ValueId turned =
      read.Op("Transpose", {read.Op("Reshape", {x, read.Ints({-1, 5, 8})})}, {{"perm", Is({0, 2, 1})}});
  read.Output(read.Op("Reshape", {turned, read.Ints({-1, 4, 8, 5})}));
  read.Output(turned);
  ExpectUntouched(read, "merge-transposes");
}

// A condition of the shape [N, 1, 5, 5].
ValueId Condition(Model* m, ValueId x, const Tensor& bits) {
  std::vector<ValueId> sizes;
  m->Dim(x, 0, &sizes);
  sizes.push_back(m->Ints({1, 5, 5}));
  return m->Op("Expand", {m->Const(bits), m->Op("Concat", sizes, {{"axis", I(0)}})});
}

Tensor Bits(Shape shape, bool bit, int64_t but_for = -1) {
  Tensor bits(DType::kBool, std::move(shape));
  for (int64_t i = 0; i < bits.size(); ++i) bits.data<bool>()[i] = i == but_for ? !bit : bit;
  return bits;
}

TEST(IdleMasks, AMaskThatLetsEverythingPass) {
  for (const bool pass : {true, false}) {
    Model m;
    const ValueId x = m.Input("x", {-1, 3, 5, 5}), condition = Condition(&m, x, Bits({1, 1, 5, 1}, pass));
    const ValueId mask = m.Op("Where", {condition, m.F(pass ? 0 : -3e38f), m.F(pass ? -3e38f : 0)});
    m.Output(m.Op("Softmax", {m.Op("Add", {x, mask})}, {{"axis", I(-1)}}));
    ExpectRewrite(m, {"idle-masks", "remove-identities"}, {{"Softmax", 1}});
  }
  Model made;  // the same by ConstantOfShape
  const ValueId x = made.Input("x", {-1, 4});
  const ValueId ones =
      made.Op("ConstantOfShape", {made.Op("Shape", {x})}, {{"value", Attribute::OfTensor(Bits({1}, true))}});
  made.Output(made.Op("Mul", {made.Op("Where", {ones, made.F(1), made.F(-7)}), x}));
  made.Output(made.Op("Relu", {x}));
  ExpectRewrite(made, {"idle-masks"}, {{"Shape", 1}, {"ConstantOfShape", 1}, {"Mul", 1}, {"Relu", 1}});
}

TEST(IdleMasks, TensorsAreTakenWhereTheyHaveTheResultsShape) {
  Model m;
  const ValueId x = m.Input("x", {-1, 3, 5, 5}), y = m.Input("y", {-1, 3, 5, 5});
  const ValueId condition = Condition(&m, x, Bits({1, 1, 1, 1}, false));
  m.Output(m.Op("Relu", {m.Op("Where", {condition, m.F(2), y})}));
  m.Output(m.Op("Abs", {x}));
  Graph graph = m.graph;
  Simplify(&graph, OnlyPasses(graph, {"idle-masks"}));
  // N of x and N of y are the same only by name.
  EXPECT_EQ(CountsOf(graph).count("Where"), 1u);

  Model same;
  const ValueId z = same.Input("z", {-1, 3, 5, 5});
  same.Output(
      same.Op("Relu", {same.Op("Where", {Condition(&same, z, Bits({1, 1, 1, 1}, false)), same.F(2), z})}));
  ExpectRewrite(same, {"idle-masks"}, {{"Relu", 1}});

  Model wider;  // numbers that are taken make the result larger than the condition is
  const ValueId u = wider.Input("x", {-1, 3, 5, 5}), all = Condition(&wider, u, Bits({1, 1, 1, 1}, true));
  wider.Output(wider.Op("Where", {all, wider.Const(Tensor::Of<float>({2, 1, 1, 1, 1}, {7, 7})), u}));
  ExpectUntouched(wider, "idle-masks");
}

TEST(IdleMasks, ZerosOfBothSignsAreZeros) {
  Model m;
  const ValueId x = m.Input("x", {-1, 2});
  m.Output(m.Op("Relu", {m.Op("Add", {x, m.Const(Tensor::Of<float>({2}, {0.0f, -0.0f}))})}));
  ExpectRewrite(m, {"remove-identities"}, {{"Relu", 1}});
}

TEST(IdleMasks, AMaskWithAHoleStays) {
  Model m;
  const ValueId x = m.Input("x", {-1, 3, 5, 5}), condition = Condition(&m, x, Bits({1, 1, 5, 1}, true, 2));
  m.Output(m.Op("Add", {x, m.Op("Where", {condition, m.F(0), m.F(-9)})}));
  ExpectUntouched(m, "idle-masks");
  Model wider;  // zeros that make the sum larger than x
  const ValueId y = wider.Input("x", {2, 1, 5, 1});
  wider.Output(wider.Op("Add", {y, wider.Op("Expand", {wider.F(0), wider.Ints({2, 1, 5, 5})})}));
  ExpectUntouched(wider, "remove-identities");
}

// Softmax of products plus `mask`, with `otherwise` where that is NaN.
void Guard(Model* m, ValueId mask, const Tensor& otherwise = Tensor::Scalar(0.0f)) {
  const ValueId q = m->Input("q", {-1, 3, 5, 8}), k = m->Input("k", {-1, 3, 8, 5});
  const ValueId scores = m->Op("MatMul", {m->Op("Mul", {q, m->F(0.5f)}), k});
  const ValueId soft =
      m->Op("Softmax", {mask == kNone ? scores : m->Op("Add", {scores, mask})}, {{"axis", I(-1)}});
  m->Output(m->Op("Where", {m->Op("IsNaN", {soft}), m->Const(otherwise), soft}));
}

TEST(IdleMasks, TestsForNaNOfFiniteScoresGo) {
  Model bare;
  Guard(&bare, kNone);
  ExpectRewrite(bare, {"idle-masks"}, {{"Mul", 1}, {"MatMul", 1}, {"Softmax", 1}});
  Model doubled;
  const ValueId x = doubled.Input("x", {-1, 5, 5}), scores = doubled.Op("MatMul", {x, x});
  const ValueId soft = doubled.Op("Softmax", {doubled.Op("Add", {scores, scores})}, {{"axis", I(-1)}});
  doubled.Output(doubled.Op("Where", {doubled.Op("IsNaN", {soft}), doubled.F(0), soft}));
  ExpectRewrite(doubled, {"idle-masks"}, {{"MatMul", 1}, {"Add", 1}, {"Softmax", 1}});
  Model finite;
  Guard(&finite,
        finite.Op("Where", {finite.Input("m", {5, 5}, DType::kBool), finite.F(0), finite.F(-3e38f)}));
  ExpectRewrite(finite, {"idle-masks"},
                {{"Where", 1}, {"Mul", 1}, {"MatMul", 1}, {"Add", 1}, {"Softmax", 1}});
}

TEST(IdleMasks, TestsForRowsThatAreMaskedWholeStay) {
  Model infinite;
  Guard(&infinite,
        infinite.Op("Where", {infinite.Input("m", {5, 5}, DType::kBool), infinite.F(0), infinite.F(-kInf)}));
  ExpectUntouched(infinite, "idle-masks");
  Model given;
  Guard(&given, given.Input("m", {5, 5}));
  ExpectUntouched(given, "idle-masks");
}

// Two masks of finite numbers that both mask a row make infinities of it.
TEST(IdleMasks, TestsForRowsThatTwoMasksMaskStay) {
  const auto mask = [](Model* m, const char* name) {
    return m->Op("Where", {m->Input(name, {5, 5}, DType::kBool), m->F(0), m->F(-3e38f)});
  };
  Model two;
  Guard(&two, two.Op("Add", {mask(&two, "m"), mask(&two, "n")}));
  ExpectUntouched(two, "idle-masks");
  Model half;
  const ValueId x =
      half.Op("Cast", {half.Input("x", {-1, 5, 5})}, {{"to", I(static_cast<int64_t>(DType::kFloat16))}});
  const auto number = [&](float value) {
    Tensor tensor(DType::kFloat16, Shape());
    *tensor.data<Half>() = ToHalf(value);
    return half.Const(tensor);
  };
  ValueId scores = half.Op("MatMul", {x, x});
  for (const char* name : {"m", "n"})
    scores = half.Op(
        "Add",
        {scores, half.Op("Where", {half.Input(name, {5, 5}, DType::kBool), number(0), number(-60000)})});
  const ValueId soft = half.Op("Softmax", {scores}, {{"axis", I(-1)}});
  half.Output(half.Op("Where", {half.Op("IsNaN", {soft}), number(0), soft}));
  ExpectUntouched(half, "idle-masks");
  Model twice;
  const ValueId once = mask(&twice, "m");
  Guard(&twice, twice.Op("Add", {once, once}));
  ExpectUntouched(twice, "idle-masks");
  Model scaled;
  Guard(&scaled, scaled.Op("Sub", {mask(&scaled, "m"), scaled.F(1e9f)}));
  ExpectRewrite(scaled, {"idle-masks"},
                {{"Where", 1}, {"Sub", 1}, {"Mul", 1}, {"MatMul", 1}, {"Add", 1}, {"Softmax", 1}});
}

TEST(IdleMasks, TestsOfOtherNumbersStay) {
  Model m;
  const ValueId x = m.Input("x", {-1, 5, 5});
  const ValueId soft = m.Op("Softmax", {m.Op("MatMul", {x, x})}, {{"axis", I(-1)}});
  m.Output(m.Op("Where", {m.Op("IsNaN", {m.Op("Sqrt", {x})}), m.F(0), soft}));
  ExpectUntouched(m, "idle-masks");
}

TEST(IdleMasks, TestsForNaNThatWidenStay) {
  Model wide;
  Guard(&wide, kNone, Tensor::Of<float>({2, 1, 1, 1, 1}, {0, 0}));
  ExpectUntouched(wide, "idle-masks");
  Model narrow;
  Guard(&narrow, kNone, Tensor::Of<float>({1, 1, 1}, {0}));
  ExpectRewrite(narrow, {"idle-masks"}, {{"Mul", 1}, {"MatMul", 1}, {"Softmax", 1}});
}

TEST(IdleMasks, LongChainsInFrontOfASoftmax) {
  Model m;
  ValueId at = m.Op("MatMul", {m.Input("q", {-1, 5, 8}), m.Input("k", {-1, 8, 5})});
  const ValueId half = m.F(0.5f);
  for (int i = 0; i < 100000; ++i) at = m.Op("Mul", {at, half});
  const ValueId soft = m.Op("Softmax", {at}, {{"axis", I(-1)}});
  m.Output(m.Op("Where", {m.Op("IsNaN", {soft}), m.F(0), soft}));
  Simplify(&m.graph, OnlyPasses(m.graph, {"idle-masks"}));
  EXPECT_EQ(CountsOf(m.graph).count("Where"), 0u);
}

}  // namespace
}  // namespace xslim
