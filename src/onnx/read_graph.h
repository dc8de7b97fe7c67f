// What reading a model asks of the reader of graphs, beside what proto.h has. Private to this folder.
#ifndef XSLIM_ONNX_READ_GRAPH_H_
#define XSLIM_ONNX_READ_GRAPH_H_

#include <string>
#include <vector>

#include "onnx/proto.h"

namespace xslim {

using NodeProtos = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

// A name for each node: the file's, with a suffix where a node before has it, or the operator's.
std::vector<std::string> UniqueNames(const NodeProtos& nodes);

// Of an outermost graph, which may capture nothing: throws Error naming what is read, by bodies too, and
// never made. `where` prefixes messages.
void CheckDefined(const Graph& graph, const std::string& where);

}  // namespace xslim

#endif  // XSLIM_ONNX_READ_GRAPH_H_
