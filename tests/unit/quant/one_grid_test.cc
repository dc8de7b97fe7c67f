#include "quant/one_grid.h"

#include <gtest/gtest.h>

#include <cmath>

#include "small_graph.h"

namespace xslim {
namespace {

struct Range {
  float lo, hi;
};

// "c", a convolution's result, and "d" = `type` of it and a number.
class OneGridTest : public ::testing::Test {
 protected:
  void Build(const char* type, float number, bool number_first = false) {
    small_.Conv("c", "x");
    const std::string k =
        small_.graph.value(small_.graph.AddConstant("k", Tensor::Of<float>({1}, {number}))).name;
    small_.Op(type, "d", number_first ? std::vector<std::string>{k, "c"} : std::vector<std::string>{"c", k});
    small_.Conv("e", "d");
    small_.Output("e");
    plan_ = small_.Plan();
  }

  void Put(Range c, Range d) {
    SetRange(&plan_, small_.graph.Find("c"), c.lo, c.hi, "");
    SetRange(&plan_, small_.graph.Find("d"), d.lo, d.hi, "");
    PutOnOneGrid(small_.graph, &plan_);
  }

  const QuantParams& Of(const char* name) { return plan_.activations.at(small_.graph.Find(name)).params; }
  float Scale(const char* name) { return Of(name).scale[0]; }

  // The most that rounding in "d" adds to what `change` makes of numbers that "c" can hold, in steps of "d".
  template <typename F>
  double Added(const F& change) {
    const auto [lo, hi] = Span(Of("d"));
    double most = 0;
    for (int q = -128; q <= 127; ++q) {
      const double made = change(static_cast<double>(Scale("c")) * (q - Of("c").zero_point[0]));
      if (made < lo || made > hi) continue;
      const double steps = made / Scale("d");
      most = std::max(most, std::fabs(steps - std::nearbyint(steps)));
    }
    return most;
  }

  SmallGraph small_;
  QuantPlan plan_;
};

constexpr double kExact = 1e-3;

TEST_F(OneGridTest, NothingIsRoundedBehindAnAddition) {
  Build("Add", -1.1f);
  Put({-0.4f, 13}, {-1.5f, 11.9f});
  EXPECT_EQ(Scale("c"), Scale("d"));
  EXPECT_LT(Added([](double x) { return x - 1.1f; }), kExact);
  for (const char* name : {"c", "d"}) {
    const auto [lo, hi] = Span(Of(name));
    EXPECT_LE(lo, (*name == 'c' ? -0.4f : -1.5f) + Scale(name) / 2);
    EXPECT_GE(hi, (*name == 'c' ? 13 : 11.9f) - Scale(name) / 2);
  }
}

TEST_F(OneGridTest, NothingIsRoundedBehindASubtractionFromANumber) {
  Build("Sub", 2.3f, true);
  Put({-1, 5}, {-2.7f, 3.3f});
  EXPECT_LT(Added([](double x) { return 2.3f - x; }), kExact);
}

TEST_F(OneGridTest, NothingIsRoundedBehindAProduct) {
  Build("Mul", -0.3f);
  Put({-1, 5}, {-1.4f, 0.3f});  // calibration may have chosen another part of the range
  EXPECT_LT(Added([](double x) { return -0.3f * x; }), kExact);
}

TEST_F(OneGridTest, TheWiderOfTwoScalesIsTaken) {
  Build("Mul", 0.25f);
  Put({-4, 4}, {-0.9f, 0.9f});
  EXPECT_FLOAT_EQ(Scale("d"), 2.0f / 255);
  EXPECT_LT(Added([](double x) { return x / 4; }), kExact);
  Put({-4, 4}, {-1.1f, 1.1f});
  EXPECT_FLOAT_EQ(Scale("c"), 8.8f / 255);
}

TEST_F(OneGridTest, AChainHasOneScale) {
  Build("Add", 1);
  const ValueId k = small_.graph.AddConstant("k2", Tensor::Of<float>({}, {0.5f}));
  small_.Op("Mul", "f", {"d", small_.graph.value(k).name});
  small_.Output("f");
  plan_ = small_.Plan();
  SetRange(&plan_, small_.graph.Find("f"), 0, 2, "");
  Put({-1, 3}, {0, 4});
  EXPECT_EQ(Scale("c"), Scale("d"));
  EXPECT_EQ(Scale("f"), 0.5f * Scale("d"));
  EXPECT_LT(Added([](double x) { return x + 1; }), kExact);
}

TEST_F(OneGridTest, EachKeepsItsOwnWhereThatIsBetter) {
  Build("Add", 0.01f);  // less than a step: on one grid it would be lost
  Put({-1, 5}, {-0.99f, 5.1f});
  EXPECT_FLOAT_EQ(Scale("c"), 6.0f / 255);
  EXPECT_FLOAT_EQ(Scale("d"), 6.09f / 255);
}

TEST_F(OneGridTest, ALargeNumberDoesNotCoarsenWhatItIsAddedTo) {
  Build("Add", 100);
  Put({-1, 1}, {0, 101});
  EXPECT_FLOAT_EQ(Scale("c"), 2.0f / 255);
}

TEST_F(OneGridTest, FixedRangesStay) {
  Build("Add", 1);
  plan_.activations.at(small_.graph.Find("d")).fixed = true;
  Put({-1, 3}, {0, 5});
  EXPECT_FLOAT_EQ(Scale("c"), 4.0f / 255);
  EXPECT_FLOAT_EQ(Scale("d"), 5.0f / 255);
}

TEST_F(OneGridTest, CanBeLeftOut) {
  Build("Add", 1);
  plan_.one_grid = false;
  Put({-1, 3}, {0, 5});
  EXPECT_FLOAT_EQ(Scale("c"), 4.0f / 255);
}

TEST_F(OneGridTest, RangesThatHaveChangedCountAnew) {
  Build("Mul", 2);
  Put({-1, 3}, {-2, 8});
  EXPECT_FLOAT_EQ(Scale("c"), 5.0f / 255);
  Put({-1, 3}, {-2, 6});
  EXPECT_FLOAT_EQ(Scale("c"), 4.0f / 255);
}

}  // namespace
}  // namespace xslim
