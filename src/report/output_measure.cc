#include "report/output_measure.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "tensor/minifloat.h"

namespace xslim {
namespace {

constexpr double kVaries = 1e-3;          // of the largest magnitude
constexpr double kMostlySaturated = 0.9;  // of a part's elements

void Add(float f, float q, const CodeEnds& ends, PartSums* part) {
  part->sums.Add(f, q);
  if (!std::isfinite(f)) return;
  part->f_min = std::min(part->f_min, f);
  part->f_max = std::max(part->f_max, f);
  if (!std::isfinite(q)) {
    ++part->lost;
    return;
  }
  part->q_min = std::min(part->q_min, q);
  part->q_max = std::max(part->q_max, q);
  part->saturated += ends.step > 0 && (q == ends.lo || q == ends.hi) && std::fabs(f - q) > ends.step;
}

std::string CollapseOf(const PartSums& part) {
  if (part.lost > 0)
    return StrCat("NaN or infinite in ", part.lost, " of ", Counted(part.sums.count, "element"),
                  ", which the float model's are not");
  if (part.q_min > part.q_max) return "";  // nothing finite to compare
  const double largest = std::max(std::fabs(part.f_min), std::fabs(part.f_max));
  const double varies = static_cast<double>(part.f_max) - part.f_min;
  const std::string range = StrCat("the float model's run from ", part.f_min, " to ", part.f_max);
  if (part.q_min == part.q_max && varies > kVaries * largest) {
    return part.q_min == 0 ? "all zero; " + range : StrCat("all ", part.q_min, "; ", range);
  }
  if (static_cast<double>(part.saturated) >= kMostlySaturated * static_cast<double>(part.sums.count))
    return StrCat("saturated at ", part.q_min, " and ", part.q_max, "; ", range);
  return "";
}

// Sequences, optionals without a value and complex numbers are not compared.
bool IsComparable(const Tensor& tensor) {
  return tensor.is_tensor() && tensor.dtype() != DType::kComplex64 && tensor.dtype() != DType::kComplex128;
}

// Whether it is compared as numbers with a noise; 8-bit floats as their values.
bool HasNoise(DType type, const OutputParts& parts) {
  return IsFloating(type) || IsMiniFloat(type) || parts.rounded;
}

// Neither the sample nor what the float model makes of it is finite: nothing can be said of the int8 model.
bool TellsNothing(const OutputResult* result) {
  return result->odd_data && result->sums && !std::isfinite(result->sums->signal);
}

// The parts over all samples; one for the whole when a sample was not divided.
std::vector<PartMeasure> PartsOf(const std::string& name, const OutputParts& parts,
                                 const std::vector<const OutputResult*>& results) {
  const bool divided = std::all_of(results.begin(), results.end(), [&](const OutputResult* result) {
    return !result->sums || result->parts.size() == parts.parts.size();
  });
  std::vector<PartSums> sums(divided ? parts.parts.size() : 1);
  for (const OutputResult* result : results) {
    if (!result->sums) continue;
    for (size_t p = 0; p < result->parts.size(); ++p) sums[divided ? p : 0].Add(result->parts[p]);
  }
  std::vector<PartMeasure> measures;
  for (size_t p = 0; p < sums.size(); ++p) {
    PartMeasure part;
    part.tensor = sums.size() > 1 ? parts.parts[p].tensor : name;
    part.snr = sums[p].sums.Snr();
    part.cosine = sums[p].sums.Cosine();
    const double count = static_cast<double>(std::max<int64_t>(sums[p].sums.count, 1));
    part.saturated = static_cast<double>(sums[p].saturated) / count;
    part.collapse = CollapseOf(sums[p]);
    measures.push_back(std::move(part));
  }
  return measures;
}

}  // namespace

void ErrorSums::Add(double f, double q) {
  if (f == q ? !std::isfinite(f) : std::isnan(f) && std::isnan(q)) return;
  const double d = q - f;
  signal += f * f;
  quant += q * q;
  noise += d * d;
  dot += f * q;
  ++count;
}

void ErrorSums::Add(const ErrorSums& other) {
  signal += other.signal;
  noise += other.noise;
  dot += other.dot;
  quant += other.quant;
  count += other.count;
}

double ErrorSums::Cosine() const {
  if (signal > 0 && quant > 0) return dot / std::sqrt(signal * quant);
  return signal == quant ? 1.0 : 0.0;
}

ErrorSums Compare(const float* reference, const float* other, int64_t n) {
  ErrorSums sums;
  for (int64_t i = 0; i < n; ++i) sums.Add(reference[i], other[i]);
  return sums;
}

CodeEnds EndsOf(const QuantPlan& plan, const OutputPart& part) {
  for (ValueId id : part.path) {
    const auto quant = plan.activations.find(id);
    if (quant == plan.activations.end() || !quant->second.params.set()) continue;
    const auto [lo, hi] = Span(quant->second.params);
    return {lo, hi, quant->second.params.scale[0]};
  }
  return {};
}

void PartSums::Add(const PartSums& other) {
  sums.Add(other.sums);
  f_min = std::min(f_min, other.f_min);
  f_max = std::max(f_max, other.f_max);
  q_min = std::min(q_min, other.q_min);
  q_max = std::max(q_max, other.q_max);
  lost += other.lost;
  saturated += other.saturated;
}

std::vector<std::string> Collapses(const OutputMeasure& output) {
  std::vector<std::string> lines;
  for (const PartMeasure& part : output.parts) {
    if (part.collapse.empty()) continue;
    lines.push_back("output " + output.name + (part.tensor == output.name ? "" : ", part " + part.tensor) +
                    " has collapsed: its elements are " + part.collapse);
  }
  return lines;
}

std::vector<std::string> Lost(const OutputMeasure& output) {
  constexpr double kMuch = 1.0 / 3, kSome = 0.1;
  std::vector<std::string> lines;
  const auto check = [&](const std::string& name, double snr) {
    if (!(snr > kSome) || !std::isfinite(snr)) return;
    if (!output.selected_by.empty()) {
      lines.push_back(
          StrCat(name, " differs: the noise is ", snr, " of the signal, but ", output.selected_by,
                 " selects its elements, and others, or these in another order, count as noise; compare what "
                 "is selected (boxes that match, say)"));
      return;
    }
    lines.push_back(StrCat(name, snr > kMuch ? " keeps little of the float model's" : " is noisy",
                           ": the noise is ", snr, " of the signal (docs/tuning.md says what to try)"));
  };
  for (const PartMeasure& part : output.parts) {
    if (part.collapse.empty() && output.parts.size() > 1)
      check("output " + output.name + ", part " + part.tensor, part.snr);
  }
  const bool collapsed = !Collapses(output).empty();
  if (lines.empty() && !collapsed) check("output " + output.name, output.snr);
  return lines;
}

OutputResult CompareOutputs(const Tensor& expected, const Tensor& actual, const OutputParts& parts,
                            const std::vector<CodeEnds>& ends) {
  OutputResult result;
  if (!expected.defined() || !actual.defined()) {
    result.lost = true;
    return result;
  }
  result.dtype = expected.dtype();
  result.other_kind = !IsComparable(expected) || !IsComparable(actual);
  if (result.other_kind) return result;
  result.other_shape = expected.shape() != actual.shape() || expected.dtype() != actual.dtype();
  result.total = expected.size();
  if (result.other_shape) return result;
  if (HasNoise(expected.dtype(), parts)) {
    const Tensor f = expected.ToFloat32(), q = actual.ToFloat32();
    const float *x = f.data<float>(), *y = q.data<float>();
    result.sums = Compare(x, y, f.size());
    if (parts.Divides(f.shape())) {
      result.parts.resize(parts.parts.size());
      for (int64_t i = 0; i < f.size(); ++i) {
        const auto part = static_cast<size_t>(parts.labels[static_cast<size_t>(i)]);
        Add(x[i], y[i], ends[part], &result.parts[part]);
      }
    } else {
      result.parts.resize(1);
      const CodeEnds whole = parts.parts.size() == 1 ? ends[0] : CodeEnds();
      for (int64_t i = 0; i < f.size(); ++i) Add(x[i], y[i], whole, &result.parts[0]);
    }
  } else if (expected.dtype() == DType::kString) {
    for (size_t i = 0; i < expected.strings().size(); ++i)
      result.equal += expected.strings()[i] == actual.strings()[i];
  } else {
    const std::vector<int64_t> f = expected.ToInts(), q = actual.ToInts();
    for (size_t i = 0; i < f.size(); ++i) {
      const double apart = std::fabs(static_cast<double>(q[i]) - static_cast<double>(f[i]));
      result.equal += f[i] == q[i];
      result.apart += apart;
      result.furthest = std::max(result.furthest, apart);
    }
    // Yes and no have no distance.
    if (expected.dtype() == DType::kBool) result.apart = result.furthest = 0;
  }
  return result;
}

OutputMeasure Summary(const std::string& name, const OutputParts& parts,
                      const std::vector<const OutputResult*>& results) {
  OutputMeasure output;
  output.name = name;
  output.selected_by = parts.selected_by;
  int64_t lost = 0, other_shape = 0, other_kind = 0, equal = 0, total = 0;
  double apart = 0, furthest = 0;
  const char* type = "";
  std::vector<double> signals;
  for (const OutputResult* result : results) signals.push_back(result->sums ? result->sums->signal : 0);
  const double least = SilentBelow(signals);
  const bool some_tell = !std::all_of(results.begin(), results.end(), TellsNothing);
  int64_t silent = 0;
  std::vector<const OutputResult*> telling;
  for (const OutputResult* result : results) {
    if (some_tell && TellsNothing(result)) {
      ++output.undefined;
      continue;
    }
    telling.push_back(result);
    lost += result->lost;
    other_shape += result->other_shape;
    other_kind += result->other_kind;
    if (result->other_kind) type = NameOf(result->dtype);
    if (result->sums && result->sums->signal < least) {
      ++silent;
    } else if (result->sums) {
      const double snr = result->sums->Snr(), cosine = result->sums->Cosine();
      ++output.samples;
      output.snr += snr;
      output.cosine += cosine;
      // NaN is the worst, and stays it: no comparison with it is true.
      output.snr_worst = std::isnan(snr) ? snr : std::max(output.snr_worst, snr);
      output.cosine_worst = std::isnan(cosine) ? cosine : std::min(output.cosine_worst, cosine);
    } else if (!result->lost && !result->other_kind && !HasNoise(result->dtype, parts)) {
      output.is_float = false;
      type = NameOf(result->dtype);
      equal += result->equal;
      total += result->total;
      apart += result->apart;
      furthest = std::max(furthest, result->furthest);
    }
  }
  if (output.samples > 0) output.parts = PartsOf(name, parts, telling);
  output.snr /= static_cast<double>(std::max<int64_t>(output.samples, 1));
  output.cosine /= static_cast<double>(std::max<int64_t>(output.samples, 1));
  const auto add = [&output](const std::string& text) {
    output.note += (output.note.empty() ? "" : "; ") + text;
  };
  const auto of_samples = [&results](int64_t count) {
    return count == static_cast<int64_t>(results.size()) ? std::string() : " on " + Counted(count, "sample");
  };
  if (!output.is_float) {
    add(StrCat(type, ": ", equal, " of ", Counted(total, "element"), total == 1 ? " is equal" : " are equal",
               furthest > 0 ? StrCat(", they differ by ", apart / static_cast<double>(total),
                                     " in the mean and ", furthest, " at most")
                            : ""));
  }
  if (silent > 0)
    add(StrCat(Counted(silent, "sample is", "samples are"),
               " left out of its mean: silent, under a thousandth of the mean signal"));
  if (output.undefined > 0)
    add(Counted(output.undefined, "sample is", "samples are") +
        " left out of its mean: its data hold NaN or infinity, and so does the float model's output");
  if (other_shape > 0)
    add("not measured" + of_samples(other_shape) + ": its shape differs from the float model's");
  if (other_kind > 0) add("not measured" + of_samples(other_kind) + ": its type is " + type);
  if (lost > 0)
    add("not measured" + of_samples(lost) + ": it depends on an operator that cannot be computed here");
  return output;
}

}  // namespace xslim
