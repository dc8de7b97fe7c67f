// Transposes meet and go, or become Reshape.
#include "rewrite_helper.h"

namespace xslim {
namespace {

using namespace testing;

TEST(MergeTransposes, ThroughElementwiseOperators) {
  Model m;
  ValueId x = m.Op("Transpose", {m.Input("x", {-1, 3, 4, 5})}, {{"perm", Is({0, 2, 3, 1})}});
  x = m.Op("Mul", {m.F(2), m.Op("Relu", {x})});
  m.Output(m.Op("Transpose", {x}, {{"perm", Is({0, 3, 1, 2})}}));
  ExpectRewrite(m, {"merge-transposes", "remove-identities"}, {{"Relu", 1}, {"Mul", 1}});
}

TEST(MergeTransposes, TwoInARowAndTwoSideBySide) {
  Model m;
  ValueId x = m.Op("Transpose", {m.Input("x", {-1, 3, 4})}, {{"perm", Is({1, 2, 0})}});
  m.Output(m.Op("Transpose", {x}, {{"perm", Is({1, 0, 2})}}));
  ExpectRewrite(m, {"merge-transposes"}, {{"Transpose", 1}});
  Model n;
  const Attributes perm = {{"perm", Is({2, 0, 1})}};
  const ValueId a = n.Op("Transpose", {n.Input("a", {-1, 3, 4})}, perm),
                b = n.Op("Transpose", {n.Input("b", {-1, 3, 4})}, perm);
  n.Output(n.Op("Sub", {a, b}));
  ExpectRewrite(n, {"merge-transposes"}, {{"Sub", 1}, {"Transpose", 1}});
}

TEST(MergeTransposes, TheFirstOfTwoMayBeReadElsewhere) {
  Model m;
  const ValueId x = m.Op("Abs", {m.Input("x", {-1, 3, 4})});
  const ValueId turned = m.Op("Transpose", {x}, {{"perm", Is({1, 2, 0})}});
  m.Output(m.Op("Softmax", {turned}));
  m.Output(m.Op("Relu", {m.Op("Transpose", {turned}, {{"perm", Is({2, 0, 1})}})}));
  ExpectRewrite(m, {"merge-transposes", "remove-identities"},
                {{"Abs", 1}, {"Transpose", 1}, {"Softmax", 1}, {"Relu", 1}});
}

// As TensorFlow's exporter writes a layer: NCHW only around the convolution.
TEST(MergeTransposes, ThroughBiasesAndSlopes) {
  Model m;
  const Attributes to_first = {{"perm", Is({0, 3, 1, 2})}}, to_last = {{"perm", Is({0, 2, 3, 1})}};
  ValueId x = m.Op("Conv", {m.Input("x", {-1, 3, 6, 5}), m.Random({4, 3, 1, 1})});
  x = m.Op("Add", {m.Op("Transpose", {x}, to_last), m.Random({4})});
  x = m.Op("PRelu", {m.Op("Mul", {m.Random({1, 6, 1, 1}), x}), m.Random({1, 1, 4})});
  m.Output(m.Op("Conv", {m.Op("Transpose", {x}, to_first), m.Random({2, 4, 1, 1})}));
  ExpectRewrite(m, {"merge-transposes", "remove-identities"},
                {{"Conv", 2}, {"Add", 1}, {"Mul", 1}, {"PRelu", 1}});
  Model wide;  // numbers along two axes
  ValueId y = wide.Op("Transpose", {wide.Input("x", {-1, 3, 4})}, {{"perm", Is({0, 2, 1})}});
  y = wide.Op("Add", {y, wide.Op("Pow", {wide.F(0.5f), wide.Random({4, 3})})});
  wide.Output(wide.Op("Transpose", {wide.Op("Max", {wide.Random({2, 4, 3}), y})}, {{"perm", Is({0, 2, 1})}}));
  ExpectRewrite(wide, {"fold-constants", "merge-transposes", "remove-identities"}, {{"Add", 1}, {"Max", 1}});
}

// Squeeze and excitation in NHWC.
TEST(MergeTransposes, BesideOneNumberPerChannel) {
  const auto model = [](const Shape& beside, const std::vector<int64_t>& back) {
    Model m;
    ValueId x = m.Op("Transpose", {m.Op("Abs", {m.Input("x", {-1, 3, 4, 5})})}, {{"perm", Is({0, 2, 3, 1})}});
    x = m.Op("Relu", {m.Op("Div", {m.Input("scale", beside), x})});
    m.Output(m.Op("Neg", {m.Op("Transpose", {x}, {{"perm", Is(back)}})}));
    return m;
  };
  const std::vector<std::string> passes = {"merge-transposes", "remove-identities", "transposes-to-reshapes"};
  const Counts left = {{"Abs", 1}, {"Div", 1}, {"Relu", 1}, {"Neg", 1}, {"Reshape", 1}};
  ExpectRewrite(model({-1, 1, 1, 3}, {0, 3, 1, 2}), passes, left);
  ExpectRewrite(model({-1, 1, 1, 1}, {0, 3, 1, 2}), passes,
                {{"Abs", 1}, {"Div", 1}, {"Relu", 1}, {"Neg", 1}});
  ExpectUntouched(model({-1, 4, 1, 3}, {0, 3, 1, 2}), "merge-transposes");
  ExpectUntouched(model({3}, {0, 3, 1, 2}), "merge-transposes");
  ExpectUntouched(model({-1, 1, 1, 3}, {0, 2, 3, 1}), "merge-transposes");
}

TEST(MergeTransposes, ThroughConcat) {
  const auto model = [](const std::vector<int64_t>& second, int64_t axis) {
    Model m;
    const ValueId a = m.Op("Transpose", {m.Input("a", {-1, 3, 4, 5})}, {{"perm", Is({0, 2, 3, 1})}});
    const ValueId b = m.Op("Transpose", {m.Input("b", {-1, 3, 4, 5})}, {{"perm", Is(second)}});
    m.Output(m.Op("Relu", {m.Op("Concat", {a, b}, {{"axis", I(axis)}})}));
    return m;
  };
  for (int64_t axis : {-1, 1, 2, 3})
    ExpectRewrite(model({0, 2, 3, 1}, axis), {"merge-transposes"},
                  {{"Concat", 1}, {"Transpose", 1}, {"Relu", 1}});
  Model mixed;  // 4, 5, 3 and 3, 5, 4: joined along axis 1
  const ValueId a = mixed.Op("Transpose", {mixed.Input("a", {-1, 3, 4, 5})}, {{"perm", Is({0, 2, 3, 1})}});
  const ValueId b = mixed.Op("Transpose", {mixed.Input("b", {-1, 5, 7, 3})}, {{"perm", Is({0, 2, 1, 3})}});
  mixed.Output(mixed.Op("Concat", {a, b}, {{"axis", I(1)}}));
  ExpectUntouched(mixed, "merge-transposes");
}

TEST(MergeTransposes, WhatKnowsAxesStays) {
  Model m;
  ValueId x = m.Op("Transpose", {m.Input("x", {-1, 3, 4})}, {{"perm", Is({0, 2, 1})}});
  x = m.Op("Mul", {m.Random({3}), m.Op("Softmax", {x}, {{"axis", I(1)}})});
  m.Output(m.Op("Transpose", {x}, {{"perm", Is({0, 2, 1})}}));
  ExpectUntouched(m, "merge-transposes");
}

TEST(TransposesToReshapes, WhereOnlyAxesOfSizeOneMove) {
  Model m;
  const ValueId x = m.Input("x", {1, 6, 1, 5});
  m.Output(m.Op("Transpose", {x}, {{"perm", Is({0, 2, 1, 3})}}));
  m.Output(m.Op("Transpose", {x}, {{"perm", Is({3, 0, 1, 2})}}));
  ExpectRewrite(m, {"transposes-to-reshapes"}, {{"Reshape", 1}, {"Transpose", 1}});
}

TEST(TransposesToReshapes, MergesFirst) {
  Model m;
  const ValueId x = m.Op("Transpose", {m.Input("x", {1, 6, 1, 5})}, {{"perm", Is({0, 2, 1, 3})}});
  m.Output(m.Op("Transpose", {m.Op("Exp", {x})}, {{"perm", Is({0, 2, 1, 3})}}));
  ExpectRewrite(m, {"merge-transposes", "remove-identities", "transposes-to-reshapes"}, {{"Exp", 1}});
}

TEST(TransposesToReshapes, LeavesOpenSizesAlone) {
  Model m;
  m.Output(m.Op("Transpose", {m.Input("x", {-1, 6, 1, 5})}, {{"perm", Is({1, 0, 2, 3})}}));
  ExpectUntouched(m, "transposes-to-reshapes");
  // Two open sizes, either of which may be 0.
  Model two;
  two.Output(two.Op("Transpose", {two.Input("x", {-1, -1, 1, 5})}, {{"perm", Is({0, 2, 1, 3})}}));
  ExpectUntouched(two, "transposes-to-reshapes");
}

}  // namespace
}  // namespace xslim
