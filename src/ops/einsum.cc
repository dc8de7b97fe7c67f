// Einsum and Det, by plain sums in a fixed order.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "ops/copy.h"
#include "ops/elementwise.h"

namespace xslim {
namespace {

// "ij,jk->ik" for operands of given shapes. Every label is a loop; those of the output come first. The axes
// of an ellipsis have the labels 0, 1, ... counted from the last one.
struct Equation {
  std::vector<int> labels;                  // of the loops
  Shape dims;                               // of the loops
  size_t kept = 0;                          // loops of the output
  std::vector<std::vector<int64_t>> steps;  // [operand][loop], elements
};

// The labels of one term; `ellipsis` axes stand for its dots.
std::vector<int> LabelsOf(const std::string& term, int64_t ellipsis) {
  std::vector<int> labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term[i] == '.') {
      if (term.compare(i, 3, "...") != 0) throw Error("bad equation term " + term);
      for (int64_t k = ellipsis; k-- > 0;) labels.push_back(static_cast<int>(k));
      i += 2;
    } else if (std::isalpha(static_cast<unsigned char>(term[i]))) {
      labels.push_back(1000 + term[i]);
    } else {
      throw Error("bad equation term " + term, "", "expected letters and ...");
    }
  }
  return labels;
}

Equation Parse(std::string text, const std::vector<const Tensor*>& operands) {
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  const size_t arrow = text.find("->");
  std::vector<std::string> terms(1);
  for (char letter : text.substr(0, arrow)) {
    if (letter == ',') {
      terms.emplace_back();
    } else {
      terms.back() += letter;
    }
  }
  if (terms.size() != operands.size()) {
    throw Error("equation " + text + " has " + std::to_string(terms.size()) + " terms for " +
                std::to_string(operands.size()) + " inputs");
  }
  std::vector<std::vector<int>> labels;
  std::map<int, int64_t> sizes, uses;
  int64_t widest = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    const bool dots = terms[i].find('.') != std::string::npos;
    const int64_t letters = static_cast<int64_t>(terms[i].size()) - (dots ? 3 : 0);
    const int64_t ellipsis = operands[i]->rank() - letters;
    if (ellipsis < 0 || (!dots && ellipsis != 0)) {
      throw Error("term " + terms[i] + " does not fit shape " + ToString(operands[i]->shape()));
    }
    widest = std::max(widest, ellipsis);
    labels.push_back(LabelsOf(terms[i], ellipsis));
    for (size_t k = 0; k < labels[i].size(); ++k) {
      const int64_t dim = operands[i]->dim(static_cast<int64_t>(k));
      auto [at, is_new] = sizes.emplace(labels[i][k], dim);
      if (!is_new && at->second == 1) at->second = dim;
      if (at->second != dim && dim != 1) throw Error("sizes of equation " + text + " do not agree");
      ++uses[labels[i][k]];
    }
  }
  Equation equation;
  if (arrow != std::string::npos) {
    equation.labels = LabelsOf(text.substr(arrow + 2), widest);
  } else {  // the ellipsis, then the letters that come once, in alphabetical order
    for (int64_t k = widest; k-- > 0;) equation.labels.push_back(static_cast<int>(k));
    for (const auto& [label, count] : uses) {
      if (label >= 1000 && count == 1) equation.labels.push_back(label);
    }
  }
  equation.kept = equation.labels.size();
  for (size_t i = 0; i < equation.kept; ++i) {
    const int label = equation.labels[i];
    const bool twice = std::count(equation.labels.begin(), equation.labels.end(), label) != 1;
    if (twice || sizes.count(label) == 0) throw Error("bad output term in equation " + text);
  }
  for (const auto& [label, size] : sizes) {
    if (std::find(equation.labels.begin(), equation.labels.end(), label) == equation.labels.end()) {
      equation.labels.push_back(label);
    }
  }
  for (int label : equation.labels) equation.dims.push_back(sizes[label]);
  for (size_t i = 0; i < terms.size(); ++i) {
    const std::vector<int64_t> strides = DenseStrides(operands[i]->shape());
    std::vector<int64_t>& steps = equation.steps.emplace_back(equation.labels.size(), 0);
    for (size_t k = 0; k < labels[i].size(); ++k) {  // a label that comes twice walks the diagonal
      const auto at = std::find(equation.labels.begin(), equation.labels.end(), labels[i][k]);
      const bool stretched = operands[i]->dim(static_cast<int64_t>(k)) == 1;
      steps[static_cast<size_t>(at - equation.labels.begin())] += stretched ? 0 : strides[k];
    }
  }
  return equation;
}

void EvaluateEinsum(EvalContext& c) {
  std::vector<const Tensor*> operands;
  for (size_t i = 0; i < c.num_inputs(); ++i) operands.push_back(&c.in(i));
  if (operands.empty()) throw Error("Einsum needs an input");
  const Equation equation = Parse(c.node.String("equation", ""), operands);
  const auto kept = equation.dims.begin() + static_cast<std::ptrdiff_t>(equation.kept);
  const Shape shape(equation.dims.begin(), kept), summed(kept, equation.dims.end());
  const int64_t terms = ElementCount(summed);
  Tensor& y = c.out(0, operands[0]->dtype(), shape);
  VisitNumbers(operands[0]->dtype(), [&](auto type) {
    using T = decltype(type);
    using C = ComputeType<T>;
    std::vector<const T*> data;
    for (const Tensor* operand : operands) data.push_back(operand->data<T>());
    c.pool.ParallelFor(y.size(), std::max<int64_t>(1, 4096 / std::max<int64_t>(terms, 1)),
                       [&](int64_t begin, int64_t end, int) {
                         std::vector<int64_t> base(data.size());
                         for (int64_t i = begin; i < end; ++i) {
                           C sum{};
                           auto offsets = [&](int64_t rest, size_t first, size_t last,
                                              std::vector<int64_t>& to) {
                             for (size_t k = last; k-- > first;) {
                               for (size_t o = 0; o < to.size(); ++o) {
                                 to[o] += rest % equation.dims[k] * equation.steps[o][k];
                               }
                               rest /= equation.dims[k];
                             }
                           };
                           std::fill(base.begin(), base.end(), 0);
                           offsets(i, 0, equation.kept, base);
                           std::vector<int64_t> at(data.size());
                           for (int64_t j = 0; j < terms; ++j) {
                             at = base;
                             offsets(j, equation.kept, equation.dims.size(), at);
                             C product = Load(data[0][at[0]]);
                             for (size_t o = 1; o < data.size(); ++o)
                               product = static_cast<C>(product * Load(data[o][at[o]]));
                             sum = static_cast<C>(sum + product);
                           }
                           y.data<T>()[i] = Store<T>(sum);
                         }
                       });
  });
}

// Determinant of the matrices in the last two axes, by elimination with row pivots.
void EvaluateDet(EvalContext& c) {
  const Tensor& x = c.in(0);
  if (x.rank() < 2 || x.dim(-1) != x.dim(-2)) {
    throw Error("input of shape " + ToString(x.shape()), "", "expected square matrices");
  }
  const int64_t n = x.dim(-1);
  Tensor& y = c.out(0, x.dtype(), Shape(x.shape().begin(), x.shape().end() - 2));
  VisitFloats(x.dtype(), [&](auto type) {
    using T = decltype(type);
    for (int64_t i = 0; i < y.size(); ++i) {
      std::vector<double> a(static_cast<size_t>(n * n));
      for (int64_t k = 0; k < n * n; ++k)
        a[static_cast<size_t>(k)] = static_cast<double>(Load(x.data<T>()[i * n * n + k]));
      auto at = [&](int64_t row, int64_t column) -> double& {
        return a[static_cast<size_t>(row * n + column)];
      };
      double det = 1;
      for (int64_t k = 0; k < n && det != 0; ++k) {
        int64_t pivot = k;
        for (int64_t row = k + 1; row < n; ++row) {
          if (std::fabs(at(row, k)) > std::fabs(at(pivot, k))) pivot = row;
        }
        if (pivot != k) {
          for (int64_t column = 0; column < n; ++column) std::swap(at(k, column), at(pivot, column));
          det = -det;
        }
        det *= at(k, k);
        for (int64_t row = k + 1; row < n && det != 0; ++row) {
          const double factor = at(row, k) / at(k, k);
          for (int64_t column = k; column < n; ++column) at(row, column) -= factor * at(k, column);
        }
      }
      y.data<T>()[i] = Store<T>(det);
    }
  });
}

}  // namespace

std::vector<OperatorRow> EinsumOperators() {
  return {
      {"", "Einsum", 12, kLastOpset, EvaluateEinsum},
      {"", "Det", 11, kLastOpset, EvaluateDet},
  };
}

}  // namespace xslim
