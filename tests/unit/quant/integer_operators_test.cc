#include "quant/integer_operators.h"

#include <gtest/gtest.h>

namespace xslim {
namespace {

Node Of(const std::string& type, const std::string& domain = "") {
  Node node;
  node.op_type = type;
  node.domain = domain;
  return node;
}

TEST(IntegerOperators, PairHalvesAreOfBothDomains) {
  for (const char* domain : {"", "com.microsoft"}) {
    EXPECT_TRUE(IsPairHalf(Of("QuantizeLinear", domain)));
    EXPECT_TRUE(IsPairHalf(Of("DequantizeLinear", domain)));
    EXPECT_FALSE(IsPairHalf(Of("DynamicQuantizeLinear", domain)));
  }
  EXPECT_FALSE(IsPairHalf(Of("QuantizeLinear", "my.domain")));
}

TEST(IntegerOperators, WhatIsOnCodesDependsOnTheDomain) {
  for (const char* type : {"QuantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "QLinearMatMul"})
    EXPECT_TRUE(IsOnCodes(Of(type))) << type;
  for (const char* type : {"DequantizeLinear", "MatMulNBits", "QGemm", "QAttention", "QLinearAdd"})
    EXPECT_TRUE(IsOnCodes(Of(type, "com.microsoft"))) << type;
  for (const char* type : {"Conv", "QGemm", "QLinearAdd"}) EXPECT_FALSE(IsOnCodes(Of(type))) << type;
  EXPECT_FALSE(IsOnCodes(Of("FusedConv", "com.microsoft")));
  EXPECT_FALSE(IsOnCodes(Of("QLinearConv", "my.domain")));
}

}  // namespace
}  // namespace xslim
