// Einsum and Det. An Einsum that multiplies two operands of floats and sums over labels of both is a matrix
// product of them with their axes in another order; others are plain sums in a fixed order.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <initializer_list>
#include <map>
#include <optional>

#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/float_result.h"
#include "ops/matmul.h"

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

constexpr int64_t kFewestProducts = 64;  // of one matrix product

// Loops in the order of a batched matrix product: those that both operands and the output have, those of the
// output that only operand 0 has, those that only operand 1 has, and the summed ones.
struct ProductLoops {
  std::vector<size_t> batch, m, n, k;
};

// None where a summed label is one operand's alone (the other would be repeated for it), and where there is
// too little to do for each matrix.
std::optional<ProductLoops> AsProduct(const Equation& equation) {
  if (equation.steps.size() != 2) return std::nullopt;
  ProductLoops loops;
  for (size_t i = 0; i < equation.labels.size(); ++i) {
    const bool single = equation.dims[i] == 1;  // no operand steps along it
    const bool first = single || equation.steps[0][i] != 0, second = single || equation.steps[1][i] != 0;
    if (i < equation.kept) {
      (first && second ? loops.batch : second ? loops.n : loops.m).push_back(i);
    } else {
      if (!first || !second) return std::nullopt;
      loops.k.push_back(i);
    }
  }
  int64_t work = 1;
  for (const std::vector<size_t>* group : {&loops.m, &loops.n, &loops.k})
    for (const size_t loop : *group) work = std::min(work * equation.dims[loop], kFewestProducts);
  if (work < kFewestProducts) return std::nullopt;
  return loops;
}

// Both operands packed by its loops, then the result back in the order of the output's labels.
Tensor Product(EvalContext& c, const Equation& equation, const ProductLoops& loops,
               const std::vector<const Tensor*>& operands, const Shape& shape) {
  const auto dims_of = [&](std::initializer_list<const std::vector<size_t>*> groups) {
    Shape dims;
    for (const std::vector<size_t>* group : groups)
      for (const size_t loop : *group) dims.push_back(equation.dims[loop]);
    return dims;
  };
  const int64_t batch = ElementCount(dims_of({&loops.batch})), m = ElementCount(dims_of({&loops.m})),
                n = ElementCount(dims_of({&loops.n})), k = ElementCount(dims_of({&loops.k}));
  const auto arranged = [&](size_t operand, std::initializer_list<const std::vector<size_t>*> groups) {
    std::vector<int64_t> steps;
    for (const std::vector<size_t>* group : groups)
      for (const size_t loop : *group) steps.push_back(equation.steps[operand][loop]);
    const Shape dims = dims_of(groups);
    Tensor to = c.scratch(DType::kFloat, dims);
    CopyStrided(c.pool, operands[operand]->ToFloat32(), to, {dims, steps, DenseStrides(dims)});
    return to;
  };
  const Tensor left = arranged(0, {&loops.batch, &loops.m, &loops.k}),
               right = arranged(1, {&loops.batch, &loops.k, &loops.n});
  const Shape dims = dims_of({&loops.batch, &loops.m, &loops.n});
  Tensor product = c.scratch(DType::kFloat, dims);
  const int64_t size_b = PackedSizeB(k, n);
  c.pool.ParallelFor(batch, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> packed(static_cast<size_t>(size_b)), scratch;
    for (int64_t i = begin; i < end; ++i) {
      PackBParallel(c.pool, k, n, right.data<float>() + i * k * n, n, 1, packed.data());
      MultiplyRows(c.pool, m, n, k, left.data<float>() + i * m * k, packed.data(),
                   product.data<float>() + i * m * n, scratch);
    }
  });
  const std::vector<int64_t> strides = DenseStrides(shape);
  std::vector<int64_t> to;
  for (const std::vector<size_t>* group : {&loops.batch, &loops.m, &loops.n})
    for (const size_t loop : *group) to.push_back(strides[loop]);
  Tensor y = c.scratch(DType::kFloat, shape);
  CopyStrided(c.pool, product, y, {dims, DenseStrides(dims), to});
  return y;
}

void EvaluateEinsum(EvalContext& c) {
  std::vector<const Tensor*> operands;
  for (size_t i = 0; i < c.num_inputs(); ++i) operands.push_back(&c.in(i));
  if (operands.empty()) throw Error("Einsum needs an input");
  const Equation equation = Parse(c.node.String("equation", ""), operands);
  const auto kept = equation.dims.begin() + static_cast<std::ptrdiff_t>(equation.kept);
  const Shape shape(equation.dims.begin(), kept), summed(kept, equation.dims.end());
  const int64_t terms = ElementCount(summed);
  const DType type = operands[0]->dtype();
  const bool alike = operands.size() == 2 && operands[1]->dtype() == type;
  if (alike && (type == DType::kFloat || type == DType::kFloat16 || type == DType::kBFloat16) &&
      ElementCount(shape) > 0 && terms > 0) {
    if (const std::optional<ProductLoops> loops = AsProduct(equation))
      return SetFloatResult(c, 0, Product(c, equation, *loops, operands, shape), type);
  }
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
      {"", "Einsum", 12, kAnyLater, EvaluateEinsum},
      {"", "Det", 11, kAnyLater, EvaluateDet},
  };
}

}  // namespace xslim
