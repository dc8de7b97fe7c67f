#include "tune/output_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "small_graph.h"

namespace xslim {
namespace {

using ::testing::UnorderedElementsAre;

// Tensors wide enough to be judged by themselves.
SmallGraph Detector() {
  SmallGraph model;
  model.Input("wide", {1, 4, 32, 32});
  model.Conv("boxes", "wide");
  model.Conv("logits", "wide");
  model.Op("Sigmoid", "scores", {"logits"});
  model.Op("Concat", "joined", {"boxes", "scores"}, {{"axis", Attribute::Int(1)}});
  return model;
}

std::vector<std::string> Points(const SmallGraph& model) {
  ThreadPool pool(1);
  const ValueFacts facts(model.graph, model.sample, pool);
  return OutputPoints(model.graph, model.Plan(), facts);
}

TEST(OutputPoints, AreWhatAProtectedConcatJoins) {
  SmallGraph model = Detector();
  model.Output("joined");
  EXPECT_THAT(Points(model), UnorderedElementsAre("boxes", "scores"));
}

// One ratio of the whole would be that of the boxes alone.
TEST(OutputPoints, AlsoBehindDataMovementAndArithmeticWithConstants) {
  SmallGraph model = Detector();
  model.Op("Transpose", "turned", {"joined"}, {{"perm", Attribute::Ints({0, 2, 3, 1})}});
  model.Op("Mul", "y", {"turned", model.Constant({8})});
  model.Output("y");
  EXPECT_THAT(Points(model), UnorderedElementsAre("boxes", "scores"));
}

TEST(OutputPoints, AQuantizedConcatIsOne) {
  SmallGraph model;
  model.Input("wide", {1, 4, 32, 32});
  model.Conv("a", "wide");
  model.Conv("b", "wide");
  model.Op("Concat", "joined", {"a", "b"}, {{"axis", Attribute::Int(1)}});
  model.Op("Transpose", "y", {"joined"}, {{"perm", Attribute::Ints({0, 2, 3, 1})}});
  model.Output("y");
  EXPECT_THAT(Points(model), UnorderedElementsAre("y"));
}

}  // namespace
}  // namespace xslim
