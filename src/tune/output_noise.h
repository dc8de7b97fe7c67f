// Noise-to-signal ratio of every output of a graph, and of every part of an output, as the report gives them
// (report/output_measure.h): what decides which operators stay float.
#ifndef XSLIM_TUNE_OUTPUT_NOISE_H_
#define XSLIM_TUNE_OUTPUT_NOISE_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/threads.h"
#include "data/samples.h"
#include "quant/output_parts.h"

namespace xslim {

// One number that is judged: an output, or a part of one.
struct NoiseRow {
  std::string output, part;  // part "": the output as a whole
  std::string Name() const { return part.empty() ? output : output + ", part " + part; }
};

class OutputNoise {
 public:
  // reference: the float graph, parts: of its outputs. Outputs that are neither float32 nor rounded from it
  // have no rows. kept_bytes: of the reference's outputs, at most. Those of the first samples are kept, as
  // far as they fit; of the others whoever measures computes them anew, so the graph must outlive this
  // object.
  OutputNoise(const Graph& reference, std::vector<OutputParts> parts, const std::vector<Sample>& samples,
              ThreadPool& pool, int64_t kept_bytes = std::numeric_limits<int64_t>::max());
  OutputNoise(Graph&& gone, std::vector<OutputParts> parts, const std::vector<Sample>& samples,
              ThreadPool& pool, int64_t kept_bytes = 0) = delete;

  const std::vector<NoiseRow>& rows() const { return rows_; }
  size_t outputs() const { return parts_.size(); }
  size_t samples() const { return samples_; }
  const Graph& reference() const { return graph_; }
  bool Keeps(size_t sample) const { return sample < kept_; }

  // Signal power by row and sample.
  std::vector<std::vector<double>> Signals() const;

  // Noise power of one output of one sample: of the whole, then of its parts, in elements that are finite in
  // the reference. Empty without rows. A value of another shape, as the data make it, has as much noise as
  // signal; one that is missing or not finite has the noise of a lost output.
  // wanted: the reference's, where it is not kept.
  std::vector<double> Of(size_t output, size_t sample, const Tensor& value,
                         const Tensor* wanted = nullptr) const;

  // noise[output][sample], as Of() gives it, of all samples or of the first ones: the ratio of each row. Of a
  // whole output the mean over the samples that are not silent, of a part that of all samples together.
  std::vector<double> Ratios(const std::vector<std::vector<std::vector<double>>>& noise) const;

 private:
  std::vector<double> Powers(size_t output, const Tensor& reference, const Tensor* value) const;

  const Graph& graph_;
  std::vector<OutputParts> parts_;
  size_t samples_, kept_ = 0;
  std::vector<NoiseRow> rows_;
  std::vector<std::vector<Tensor>> reference_;  // by output and sample, of the samples that are kept
  std::vector<std::vector<std::vector<double>>> signal_;  // like `noise` of Ratios(); empty: no rows
};

}  // namespace xslim

#endif  // XSLIM_TUNE_OUTPUT_NOISE_H_
