#include "ops/custom.h"

#include <dlfcn.h>

#include <deque>
#include <filesystem>
#include <mutex>
#include <set>

#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int kMostOperators = 100000, kMostDimensions = 64;

struct Custom {
  std::string domain, op_type;  // the row points at them
  XslimOperator functions;
  OperatorRow row;
};

// Grows only: rows stay where they are.
struct Registry {
  std::mutex mutex;  // of operators
  std::deque<Custom> operators;
  std::mutex loading;  // of files; held while a library is loaded
  std::set<std::string> files;
};

Registry& TheRegistry() {
  static Registry registry;
  return registry;
}

const Custom* Find(const std::string& domain, const std::string& op_type, int version) {
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  for (const Custom& custom : registry.operators) {
    if (custom.op_type == op_type && custom.domain == domain && version >= custom.row.first_opset &&
        version <= custom.row.last_opset) {
      return &custom;
    }
  }
  return nullptr;
}

// What lies behind XslimOpCall::host.
struct Host {
  EvalContext& context;
  std::vector<XslimTensor> outputs;
  std::vector<Shape> shapes;
  std::string failure;
};

Host& HostOf(const XslimOpCall* call) { return *static_cast<Host*>(call->host); }

const Attribute* AttributeOf(const XslimOpCall* call, const char* name, Attribute::Kind kind) {
  if (name == nullptr) return nullptr;
  const auto& attributes = HostOf(call).context.node.attributes;
  const auto at = attributes.find(name);
  return at == attributes.end() || at->second.kind != kind ? nullptr : &at->second;
}

int32_t GetInt(const XslimOpCall* call, const char* name, int64_t* value) {
  const Attribute* found = AttributeOf(call, name, Attribute::Kind::kInt);
  if (found != nullptr) *value = found->i;
  return found != nullptr;
}

int32_t GetFloat(const XslimOpCall* call, const char* name, float* value) {
  const Attribute* found = AttributeOf(call, name, Attribute::Kind::kFloat);
  if (found != nullptr) *value = found->f;
  return found != nullptr;
}

int32_t GetString(const XslimOpCall* call, const char* name, const char** text, int64_t* length) {
  const Attribute* found = AttributeOf(call, name, Attribute::Kind::kString);
  if (found == nullptr) return 0;
  *text = found->s.c_str();
  *length = static_cast<int64_t>(found->s.size());
  return 1;
}

int32_t GetInts(const XslimOpCall* call, const char* name, const int64_t** values, int64_t* count) {
  const Attribute* found = AttributeOf(call, name, Attribute::Kind::kInts);
  if (found == nullptr) return 0;
  *values = found->ints.data();
  *count = static_cast<int64_t>(found->ints.size());
  return 1;
}

int32_t GetFloats(const XslimOpCall* call, const char* name, const float** values, int64_t* count) {
  const Attribute* found = AttributeOf(call, name, Attribute::Kind::kFloats);
  if (found == nullptr) return 0;
  *values = found->floats.data();
  *count = static_cast<int64_t>(found->floats.size());
  return 1;
}

void Fail(const XslimOpCall* call, const char* text) { HostOf(call).failure = text ? text : ""; }

// Exceptions must not pass through the library's frames; a wrong call shows as an output that is not set.
void SetOutput(const XslimOpCall* call, int32_t index, int32_t dtype, int32_t rank, const int64_t* dims) {
  Host& host = HostOf(call);
  if (index < 0 || static_cast<size_t>(index) >= host.outputs.size() || rank < 0 || rank > kMostDimensions ||
      (rank > 0 && dims == nullptr)) {
    return;
  }
  const size_t at = static_cast<size_t>(index);
  host.shapes[at].assign(dims, dims + rank);
  host.outputs[at] = {dtype, rank, host.shapes[at].data(), nullptr};
}

// Whether elements of the type lie one after the other in whole bytes.
bool Passable(int32_t dtype) {
  return dtype > 0 && dtype <= static_cast<int32_t>(DType::kBFloat16) &&
         SizeOf(static_cast<DType>(dtype)) > 0;
}

void EvaluateCustom(EvalContext& c) {
  const Custom* custom = Find(c.node.domain, c.node.op_type, c.opset);
  if (custom == nullptr) throw Error("its library is gone");
  std::vector<XslimTensor> inputs(c.num_inputs(), XslimTensor{0, 0, nullptr, nullptr});
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!c.has(i)) continue;
    const Tensor& x = c.in(i);
    if (!Passable(static_cast<int32_t>(x.dtype()))) {
      throw Unsupported("input " + std::to_string(i) + " is " + NameOf(x.dtype()) +
                        ", which operators of libraries do not get");
    }
    inputs[i] = {static_cast<int32_t>(x.dtype()), static_cast<int32_t>(x.rank()), x.shape().data(),
                 const_cast<std::byte*>(x.raw())};  // read only by contract
  }
  Host host{c, std::vector<XslimTensor>(c.node.outputs.size(), XslimTensor{0, 0, nullptr, nullptr}),
            std::vector<Shape>(c.node.outputs.size()), ""};
  XslimOpCall call{static_cast<int32_t>(inputs.size()),
                   static_cast<int32_t>(host.outputs.size()),
                   inputs.data(),
                   host.outputs.data(),
                   GetInt,
                   GetFloat,
                   GetString,
                   GetInts,
                   GetFloats,
                   SetOutput,
                   Fail,
                   &host};
  const auto check = [&](int32_t status, const char* function) {
    if (status == 0) return;
    throw Error(host.failure.empty()
                    ? std::string(function) + "() of its library returned " + std::to_string(status)
                    : host.failure);
  };
  check(custom->functions.shapes(&call), "shapes");
  for (size_t i = 0; i < host.outputs.size(); ++i) {
    if (!c.wants(i)) {
      host.outputs[i] = {0, 0, nullptr, nullptr};
      continue;
    }
    if (!Passable(host.outputs[i].dtype)) {
      throw Error("shapes() of its library gave output " + std::to_string(i) + " no usable type");
    }
    host.outputs[i].data = c.out(i, static_cast<DType>(host.outputs[i].dtype), host.shapes[i]).raw();
  }
  call.set_output = [](const XslimOpCall*, int32_t, int32_t, int32_t, const int64_t*) {};
  check(custom->functions.evaluate(&call), "evaluate");
}

[[noreturn]] void Refuse(const std::string& what, const std::string& where) {
  throw Error(what, "operator library " + where, "see include/xslim/custom_op.h");
}

}  // namespace

const OperatorRow* FindCustomOperator(const std::string& domain, const std::string& op_type, int version) {
  const Custom* custom = Find(domain, op_type, version);
  return custom != nullptr ? &custom->row : nullptr;
}

void AddOperators(const XslimOpLibrary& library, const std::string& where) {
  if (library.abi != XSLIM_OP_ABI) {
    Refuse("made for version " + std::to_string(library.abi) + " of the interface, this program has " +
               std::to_string(XSLIM_OP_ABI) + ".",
           where);
  }
  if (library.num_operators < 1 || library.num_operators > kMostOperators || library.operators == nullptr) {
    Refuse("it holds no operators.", where);
  }
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  std::deque<Custom> added;
  for (int32_t i = 0; i < library.num_operators; ++i) {
    const XslimOperator& each = library.operators[i];
    const std::string at = where + ", operator " + std::to_string(i);
    if (each.domain == nullptr || each.op_type == nullptr || *each.op_type == '\0') {
      Refuse("it has no name.", at);
    }
    const std::string title = at + " (" + each.domain + " " + each.op_type + ")";
    if (*each.domain == '\0' || std::string(each.domain) == "ai.onnx") {
      Refuse("operators of the default domain cannot be replaced.", title);
    }
    if (each.shapes == nullptr || each.evaluate == nullptr) Refuse("a function is missing.", title);
    if (each.first_version > each.last_version) Refuse("first_version is after last_version.", title);
    const auto overlaps = [&](const Custom& other) {
      return other.domain == each.domain && other.op_type == each.op_type &&
             each.first_version <= other.row.last_opset && other.row.first_opset <= each.last_version;
    };
    for (const std::deque<Custom>* list : {&added, &registry.operators}) {
      for (const Custom& other : *list) {
        if (overlaps(other)) Refuse("an operator of that name and version is there already.", title);
      }
    }
    added.push_back({each.domain, each.op_type, each, {}});
  }
  for (Custom& each : added) {
    registry.operators.push_back(std::move(each));
    Custom& kept = registry.operators.back();
    kept.row = {kept.domain.c_str(), kept.op_type.c_str(), kept.functions.first_version,
                kept.functions.last_version, EvaluateCustom};
  }
}

void LoadOperatorLibrary(const std::string& path) {
  std::error_code error;
  const std::string file = std::filesystem::canonical(path, error).string();
  if (error) Refuse("cannot open it: " + error.message() + ".", path);
  if (!std::filesystem::is_regular_file(file, error)) Refuse("it is not a regular file.", path);
  const std::lock_guard<std::mutex> lock(TheRegistry().loading);
  if (TheRegistry().files.count(file)) return;
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = dlerror();
    Refuse(std::string("cannot load it: ") + (why ? why : "unknown reason") + ".", path);
  }
  using Entry = const XslimOpLibrary* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(handle, "xslim_op_library"));
  const XslimOpLibrary* library = entry != nullptr ? entry() : nullptr;
  try {
    if (entry == nullptr) Refuse("it does not export xslim_op_library.", path);
    if (library == nullptr) Refuse("xslim_op_library returned nothing.", path);
    AddOperators(*library, path);
  } catch (...) {
    dlclose(handle);
    throw;
  }
  TheRegistry().files.insert(file);
}

}  // namespace xslim
