// Runs a model on raw float32 inputs and writes its outputs, for comparison with other runtimes.
//   run_model MODEL OUTPUT_PREFIX SHAPE INPUT...
// SHAPE is that of the model's only input, like 1,3,32,32; every INPUT is a file with that many float32 in
// the host's byte order. The first graph output of input i goes to OUTPUT_PREFIX<i>.raw.
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "onnx/model_io.h"
#include "runtime/executor.h"
#include "xslim/error.h"

namespace {

xslim::Shape ParseShape(const std::string& text) {
  xslim::Shape shape;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) shape.push_back(std::stoll(part));
  return shape;
}

xslim::Tensor ReadRaw(const std::string& path, const xslim::Shape& shape) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  xslim::Tensor tensor(xslim::DType::kFloat, shape);
  if (!file || bytes.size() != tensor.bytes()) {
    throw xslim::Error("does not hold a float32 tensor of shape " + xslim::ToString(shape), path);
  }
  std::memcpy(tensor.raw(), bytes.data(), bytes.size());
  return tensor;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: run_model MODEL OUTPUT_PREFIX SHAPE INPUT...\n");
    return 2;
  }
  try {
    const xslim::Graph graph = xslim::LoadModel(argv[1]);
    xslim::ThreadPool pool(2);
    xslim::Executor executor(graph, pool);
    const xslim::Shape shape = ParseShape(argv[3]);
    for (int i = 4; i < argc; ++i) {
      const xslim::Tensor output = executor.Run({ReadRaw(argv[i], shape)}).at(0).ToFloat32();
      const std::string path = argv[2] + std::to_string(i - 4) + ".raw";
      std::ofstream file(path, std::ios::binary);
      file.write(reinterpret_cast<const char*>(output.raw()), static_cast<std::streamsize>(output.bytes()));
      if (!file.flush()) throw xslim::Error("cannot write", path);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_model: %s\n", error.what());
    return 1;
  }
  return 0;
}
