#include "simplify/opset/signature.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>

namespace xslim::opset {
namespace {

struct Row {
  const char* op_type;
  int since;
  const char *inputs, *outputs, *variables, *attributes;
};

constexpr Row kRows[] = {
#include "simplify/opset/signatures.inc"
};

uint32_t Mask(const std::string& hexadecimal) {
  return static_cast<uint32_t>(std::strtoul(hexadecimal.c_str(), nullptr, 16));
}

std::vector<std::string> Words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::vector<Formal> ParseFormals(const char* text, std::map<std::string, int>* names,
                                 std::vector<uint32_t>* masks) {
  std::vector<Formal> formals;
  for (std::string word : Words(text)) {
    Formal formal;
    const char option = word.back();
    formal.optional = option == '?';
    formal.variadic = option == '*' || option == '^';
    formal.same_type = option != '^';
    if (formal.optional || formal.variadic) word.pop_back();
    if (word[0] == '#') {
      formal.variable = static_cast<int>(masks->size());
      masks->push_back(Mask(word.substr(1)));
    } else {
      formal.variable = names->at(word);
    }
    formals.push_back(formal);
  }
  return formals;
}

Signature Parse(const Row& row) {
  Signature signature;
  signature.op_type = row.op_type;
  signature.since = row.since;
  signature.deprecated = std::string(row.inputs) == "deprecated";
  if (signature.deprecated) return signature;
  std::map<std::string, int> names;
  for (const std::string& word : Words(row.variables)) {
    const size_t equals = word.find('=');
    names[word.substr(0, equals)] = static_cast<int>(signature.variables.size());
    signature.variables.push_back(Mask(word.substr(equals + 1)));
  }
  signature.inputs = ParseFormals(row.inputs, &names, &signature.variables);
  signature.outputs = ParseFormals(row.outputs, &names, &signature.variables);
  for (std::string word : Words(row.attributes)) {
    AttributeSignature attribute;
    const size_t equals = word.find('=');
    if (equals != std::string::npos) {
      attribute.default_value = word.substr(equals + 1);
      word.resize(equals);
    } else if (word.back() == '!') {
      attribute.required = true;
      word.pop_back();
    }
    attribute.name = word;
    signature.attributes.push_back(attribute);
  }
  return signature;
}

// Versions of each operator, oldest first.
const std::map<std::string, std::vector<Signature>>& Table() {
  static const std::map<std::string, std::vector<Signature>> table = [] {
    std::map<std::string, std::vector<Signature>> parsed;
    for (const Row& row : kRows) parsed[row.op_type].push_back(Parse(row));
    return parsed;
  }();
  return table;
}

const Formal* At(const std::vector<Formal>& formals, size_t slot) {
  if (slot < formals.size()) return &formals[slot];
  return !formals.empty() && formals.back().variadic ? &formals.back() : nullptr;
}

// The first formal that must be given and is not; "" when all are.
std::string Missing(const std::vector<Formal>& formals, const std::vector<ValueId>& given, const char* what) {
  for (size_t i = 0; i < formals.size(); ++i) {
    if (formals[i].optional || formals[i].variadic) continue;
    if (i >= given.size() || given[i] == kNone)
      return std::string(what) + " " + std::to_string(i) + " left out";
  }
  return "";
}

// Element types of the inputs or outputs against the signature; `bound` is the type of each variable so far.
std::string WrongType(const Signature& signature, const std::vector<Formal>& formals,
                      const std::vector<ValueId>& given, const char* what,
                      const std::function<DType(ValueId)>& type_of, std::vector<DType>* bound) {
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i] == kNone) continue;
    const Formal* formal = At(formals, i);
    const std::string name = std::string(what) + " " + std::to_string(i);
    if (formal == nullptr) return name;
    const DType type = type_of(given[i]);
    if (type == DType::kUndefined) continue;
    const size_t variable = static_cast<size_t>(formal->variable);
    if ((signature.variables[variable] >> static_cast<int>(type) & 1) == 0)
      return std::string(NameOf(type)) + " at " + name;
    if (formal->variadic && !formal->same_type) continue;
    DType& first = (*bound)[variable];
    if (first != DType::kUndefined && first != type)
      return std::string(NameOf(first)) + " and " + NameOf(type) + " together";
    first = type;
  }
  return "";
}

}  // namespace

const Formal* Signature::Input(size_t slot) const { return At(inputs, slot); }
const Formal* Signature::Output(size_t slot) const { return At(outputs, slot); }

const AttributeSignature* Signature::Find(const std::string& attribute) const {
  for (const AttributeSignature& each : attributes) {
    if (each.name == attribute) return &each;
  }
  return nullptr;
}

const Signature* FindSignature(const std::string& op_type, int opset) {
  const auto found = Table().find(op_type);
  if (found == Table().end()) return nullptr;
  const Signature* newest = nullptr;
  for (const Signature& each : found->second) {
    if (each.since <= opset) newest = &each;
  }
  return newest == nullptr || newest->deprecated ? nullptr : newest;
}

int FirstOpset(const std::string& op_type) {
  const auto found = Table().find(op_type);
  return found == Table().end() ? 0 : found->second.front().since;
}

bool IsDefault(const Attribute& attribute, const AttributeSignature& signature) {
  if (signature.default_value.empty()) return false;
  const char* text = signature.default_value.c_str();
  switch (attribute.kind) {
    case Attribute::Kind::kInt:
      return attribute.i == std::strtoll(text, nullptr, 10);
    case Attribute::Kind::kFloat:
      return attribute.f == std::strtof(text, nullptr);
    case Attribute::Kind::kString:
      return attribute.s == signature.default_value;
    default:
      return false;
  }
}

std::optional<std::string> Misfit(const Node& node, const Signature& signature,
                                  const std::function<DType(ValueId)>& type_of) {
  for (const auto& [name, attribute] : node.attributes) {
    if (signature.Find(name) == nullptr) return "attribute " + name;
  }
  for (const AttributeSignature& attribute : signature.attributes) {
    if (attribute.required && !node.Has(attribute.name)) return "attribute " + attribute.name + " left out";
  }
  std::string found = Missing(signature.inputs, node.inputs, "input");
  if (found.empty()) found = Missing(signature.outputs, node.outputs, "output");
  std::vector<DType> bound(signature.variables.size(), DType::kUndefined);
  if (found.empty()) found = WrongType(signature, signature.inputs, node.inputs, "input", type_of, &bound);
  if (found.empty()) found = WrongType(signature, signature.outputs, node.outputs, "output", type_of, &bound);
  if (found.empty()) return std::nullopt;
  return found;
}

}  // namespace xslim::opset
