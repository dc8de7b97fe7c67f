#include "ops/window.h"

#include <algorithm>

#include "ops/operator.h"

namespace xslim {

WindowAttributes ReadWindow(const Node& node, size_t spatial, const std::vector<int64_t>& kernel) {
  WindowAttributes window;
  const std::vector<int64_t> ones(spatial, 1);
  window.kernel = node.Ints("kernel_shape", kernel);
  window.strides = node.Ints("strides", ones);
  window.dilations = node.Ints("dilations", ones);
  window.pads = node.Ints("pads", std::vector<int64_t>(2 * spatial, 0));
  window.auto_pad = node.String("auto_pad", "NOTSET");
  if (node.Is("ConvTranspose")) {  // where ONNX's shape inference, and so ONNX Runtime, lets empty lists pass
    if (window.strides.empty()) window.strides = ones;
    if (window.dilations.empty()) window.dilations = ones;
  }
  if (window.auto_pad.empty()) window.auto_pad = "NOTSET";
  CheckWindowValues("strides", window.strides, spatial, 1);
  if (node.Has("kernel_shape") || kernel.empty())
    CheckWindowValues("kernel_shape", window.kernel, spatial, 1);
  for (size_t i = 0; i < kernel.size(); ++i) {
    if (kernel[i] >= 0 && window.kernel[i] != kernel[i]) {
      throw Error(StrCat("kernel_shape ", ToString(window.kernel), " is not that of the weights, ",
                         ToString(kernel)));
    }
  }
  for (size_t i = 0; i < std::min(window.kernel.size(), window.dilations.size()); ++i) {
    if (window.kernel[i] == 1) window.dilations[i] = 1;  // of a single tap it says nothing
  }
  CheckWindowValues("dilations", window.dilations, spatial, 1);
  CheckWindowValues("pads", window.pads, 2 * spatial, std::numeric_limits<int32_t>::min());
  if (std::any_of(window.pads.begin(), window.pads.end(), [](int64_t pad) { return pad < 0; }))
    throw Unsupported(StrCat("pads ", ToString(window.pads), " hold a negative number"));
  if (window.auto_pad != "NOTSET" && window.auto_pad != "VALID" && window.auto_pad != "SAME_UPPER" &&
      window.auto_pad != "SAME_LOWER") {
    throw Error("auto_pad " + window.auto_pad + " is unknown", "",
                "expected NOTSET, VALID, SAME_UPPER or SAME_LOWER");
  }
  return window;
}

}  // namespace xslim
