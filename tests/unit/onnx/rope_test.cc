#include "onnx/rope.h"

#include <gtest/gtest.h>

namespace xslim {
namespace {

TEST(RopeTest, LengthsAreThoseOfWhatFollows) {
  EXPECT_EQ(FieldHead(1, 3), std::string("\x0a\x03", 2));
  EXPECT_EQ(FieldHead(1, 128), std::string("\x0a\x80\x01", 3));
  EXPECT_EQ(FieldHead(25, 0), std::string("\xca\x01\x00", 3));  // tag 25 << 3 | 2 takes two bytes
}

TEST(RopeTest, PiecesComeInTheirOrder) {
  Rope inner;
  inner.Add("ab");
  inner.Add(Tensor::Of<uint8_t>({3}, {'c', 'd', 'e'}));
  Rope rope;
  rope.Add("<");
  rope.AddField(1, std::move(inner));
  rope.AddField(2, "f");
  EXPECT_EQ(rope.Text(),
            "<\x0a\x05"
            "abcde\x12\x01"
            "f");
  EXPECT_EQ(rope.size(), rope.Text().size());
  int pieces = 0;
  rope.ForEach([&](const void*, size_t) { ++pieces; });
  EXPECT_EQ(pieces, 3);  // text that follows text is joined, elements stay where they lie
}

}  // namespace
}  // namespace xslim
