// Models as messages, to spoil and to compare, and a folder to put them into.
#ifndef TESTS_UNIT_ONNX_ONNX_HELPER_H_
#define TESTS_UNIT_ONNX_ONNX_HELPER_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "base/file.h"
#include "onnx/model_io.h"
#include "onnx/proto.h"
#include "xslim/error.h"

namespace xslim::testing {

inline const char* const kRoundTrip = TEST_DATA "/round_trip.onnx";

inline std::string MessageOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline onnx::ModelProto Proto(const std::string& bytes) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(bytes));
  return model;
}

// x + w -> y, float [2]; the parts that tests spoil are at hand.
struct Small {
  onnx::ModelProto model;
  onnx::GraphProto* graph = model.mutable_graph();
  onnx::TensorProto* w = graph->add_initializer();
  onnx::NodeProto* node = graph->add_node();

  Small() {
    model.set_ir_version(8);
    model.add_opset_import()->set_version(17);
    graph->set_name("g");
    AddInfo("x", graph->add_input());
    AddInfo("y", graph->add_output());
    w->set_name("w");
    w->add_dims(2);
    w->set_data_type(1);
    w->set_raw_data(std::string("\0\0\x80\x3f\0\0\0\x40", 8));
    node->set_op_type("Add");
    node->add_input("x");
    node->add_input("w");
    node->add_output("y");
  }
  static void AddInfo(const std::string& name, onnx::ValueInfoProto* info) {
    info->set_name(name);
    info->mutable_type()->mutable_tensor_type()->set_elem_type(1);
    info->mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(2);
  }
  Graph Parse(const std::string& folder = "") const {
    return ParseModel(model.SerializeAsString(), folder, "m.onnx");
  }
  std::string Message(const std::string& folder = "") const {
    return MessageOf([&] { Parse(folder); });
  }
};

class Folder {
 public:
  Folder() {
    path_ = std::filesystem::path(::testing::TempDir()) /
            (std::string("xslim_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_ / "model");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline void Put(const std::string& path, const std::string& bytes) {
  OutputFile file(path);
  file.Write(bytes);
  file.Commit();
}

inline void SetExternal(onnx::TensorProto* tensor, const std::map<std::string, std::string>& entries) {
  tensor->clear_raw_data();
  tensor->set_data_location(onnx::TensorProto::EXTERNAL);
  tensor->clear_external_data();
  for (const auto& [key, value] : entries) {
    auto* entry = tensor->add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  }
}

}  // namespace xslim::testing

#endif  // TESTS_UNIT_ONNX_ONNX_HELPER_H_
