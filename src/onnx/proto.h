// The ONNX message classes, and what reading and writing share. Private to this folder.
#ifndef XSLIM_ONNX_PROTO_H_
#define XSLIM_ONNX_PROTO_H_

#ifndef ONNX_ML
#define ONNX_ML 1
#endif
#ifndef ONNX_NAMESPACE
#define ONNX_NAMESPACE onnx
#endif
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <google/protobuf/io/coded_stream.h>
#include <onnx/onnx_pb.h>
#pragma GCC diagnostic pop

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "graph/graph.h"

namespace xslim {

// Tensor attributes above this many bytes are kept once, in Attribute::tensor; the kept sources lack their
// raw_data.
inline constexpr size_t kLargestSourceTensor = 1024;
// The same for bodies: above this their kept source lacks the graph.
inline constexpr size_t kLargestSourceGraph = 64 << 10;

// "ai.onnx" is another name of the default domain.
inline std::string NormalDomain(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }

// The texts or messages in one field of a serialized message, whether or not the message classes know it.
std::vector<std::string> FieldsOf(const std::string& message, uint32_t field);

// True when the message holds no elements at all, inline or external.
bool HasNoData(const onnx::TensorProto& proto);

// Where external data may lie: in the folder of the model's path or below it; where links lead out of it,
// beside the file that the path leads to (caches of downloads hold links, and all files in another folder).
struct DataFolders {
  std::string named;     // "": no external data allowed
  std::string linked{};  // "": as named
};

// The files that external data lie in, each mapped once.
class ExternalData {
 public:
  explicit ExternalData(DataFolders folders) : folders_(std::move(folders)) {}
  // The bytes of an external tensor. Throws Error, with `where` in front, unless they lie inside a file
  // there.
  Tensor Read(const onnx::TensorProto& proto, DType type, const Shape& shape, int64_t count,
              const std::string& where);
  std::vector<std::string> files() const;

 private:
  const std::shared_ptr<MappedFile>& Map(const std::string& location, const std::string& where);
  DataFolders folders_;
  std::map<std::string, std::shared_ptr<MappedFile>> mapped_;  // by canonical path
};

// Reads a tensor of any type, takes its raw_data out of the message; `where` goes into the Error thrown when
// the message is malformed.
Tensor ReadTensor(onnx::TensorProto* proto, ExternalData* external, const std::string& where);

// A sparse tensor with its zeros filled in; `where` as above, also for strings and for over 2 GiB.
Tensor ReadSparse(onnx::SparseTensorProto* proto, ExternalData* external, const std::string& where);

// Bytes of raw_data for a tensor (not of strings): types of 4 and 2 bits are packed, the lowest bits first.
// `storage` holds them when they are not the tensor's own.
std::string_view RawData(const Tensor& tensor, std::string* storage);
// dims, data_type and elements; other fields stay.
void WriteTensor(const Tensor& tensor, onnx::TensorProto* proto);
// As WriteTensor without raw_data; strings are complete.
void WriteTensorHead(const Tensor& tensor, onnx::TensorProto* proto);

// Type and shape of a ValueInfoProto into a Value, as far as they are those of a dense tensor.
void ReadType(const onnx::ValueInfoProto& proto, Value* value);

// A graph with everything inside; `graph` has opset_imports set. `where` prefixes messages ("model.onnx").
// The elements of big tensors are taken out of the message.
void ReadGraph(onnx::GraphProto* proto, ExternalData* external, const std::string& where, Graph* graph);

// Modelled kinds are read; other kinds are kOther and live in source.
Attribute ReadAttribute(onnx::AttributeProto* proto, ExternalData* external, const std::string& where,
                        const Graph& outer);

}  // namespace xslim

#endif  // XSLIM_ONNX_PROTO_H_
