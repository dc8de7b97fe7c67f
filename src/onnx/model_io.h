// ONNX files <-> Graph. The only folder with protobuf; libonnx is used for its message classes alone.
#ifndef XSLIM_ONNX_MODEL_IO_H_
#define XSLIM_ONNX_MODEL_IO_H_

#include <cstdint>
#include <string>

#include "base/file.h"
#include "graph/graph.h"

namespace xslim {

// Reads a model. External data are mapped from their files, which must lie in the model's folder (or that
// of the file that the path leads to) and must not change as long as the graph lives. Opsets 7 to 25, IR 3
// to 13. Throws Error naming the file and what is wrong.
Graph LoadModel(const std::string& path);
Graph ParseModel(const std::string& bytes, const std::string& folder, const std::string& label);

// Serialises the graph; nodes that were not changed come out byte-equal. Sets metadata xslim_version.
std::string SerializeModel(const Graph& graph);
// A checksum of the same bytes, without a copy of the constants. It is the same for equal graphs alone: of
// what their bytes are made up, too.
std::string HashModel(const Graph& graph);
// Protobuf messages end at 2 GiB; the slack is for readers that count more than the message.
inline constexpr int64_t kLargestModelFile = 1'900'000'000;
struct SaveOptions {
  bool external_data = false;                // also for a small model
  int64_t largest_file = kLargestModelFile;  // a larger model gets external data
};
// "<stem>.onnx.data" beside the model.
std::string ExternalDataPath(const std::string& path);
// Writes `path` whole or not at all; with external data together with `<stem>.onnx.data` beside it, which
// then holds all large tensors: initializers, attributes, those of bodies. Bytes are streamed from where they
// lie. Throws Error also when a file would take the place of one that the graph's elements were read from.
void SaveModel(const Graph& graph, const std::string& path, const SaveOptions& options = {});
// The same up to the renaming, which is left to `files`: for a model with further files.
void WriteModel(const Graph& graph, const std::string& path, const SaveOptions& options, OutputFiles* files);

// A serialized onnx.TensorProto (an ONNX test data .pb file). Throws Error when malformed; external data is
// refused.
Tensor ParseTensorProto(const std::string& bytes);
// The same for a graph's input or output that may be a sequence or an optional (onnx.SequenceProto,
// onnx.OptionalProto), as `declared` says.
Tensor ParseValueProto(const std::string& bytes, const Value& declared);

}  // namespace xslim

#endif  // XSLIM_ONNX_MODEL_IO_H_
