// What each int8 operator costs in accuracy, measured, and which operators to leave float for the accuracy
// that is wanted.
#ifndef XSLIM_TUNE_SENSITIVITY_H_
#define XSLIM_TUNE_SENSITIVITY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tune/partial_plans.h"
#include "tune/variants.h"

namespace xslim {

using ProgressCall = std::function<void(int64_t done, int64_t total)>;

// Samples to measure a plan on: 4 to 16, the fewer the larger the model, and fewer where they take more than
// kDrawnBytes. Of four times as many, as far as these fit, those are taken in which the outputs and parts
// have most signal: images in which a detector finds something.
std::vector<Sample> SensitivitySamples(const PartialPlans& plans, const std::vector<OutputParts>& parts,
                                       const SampleSource& source, const std::vector<int64_t>& indices,
                                       ThreadPool& pool);

struct OperatorSensitivity {
  NodeId node = kNone;
  int64_t macs = 0;
  NoiseRatios alone_int8;   // everything else float
  NoiseRatios alone_float;  // everything else int8
};

// How good the model is with some operators float.
struct CurvePoint {
  int64_t int8_macs = 0;
  size_t float_operators = 0;
  NoiseRatios noise;
};

struct SensitivityResult {
  std::vector<NoiseRow> rows;
  int64_t samples = 0, macs = 0;
  NoiseRatios all_int8;
  std::vector<OperatorSensitivity> operators;  // the one that costs most first
  std::vector<CurvePoint> curve;               // from all int8 on
};

// Runs each unit of the plan alone int8 and alone float. Ranked by the largest share of a row's noise that
// the operator makes alone.
SensitivityResult MeasureSensitivity(const PartialPlans& plans, const OutputNoise& noise,
                                     const std::vector<Sample>& samples, ThreadPool& pool,
                                     const ProgressCall& progress);

// One step of the search below: units that became float together.
struct PrecisionStep {
  std::vector<size_t> units;
  size_t row = 0;                // the row that was furthest from the target
  double before = 0, after = 0;  // its noise
};

// How far the foretold gain of a move can be trusted: what it brought when it was last measured, as a share
// of what was foretold then.
class MoveTrust {
 public:
  double In(const std::vector<size_t>& units) const;  // 1 for a move that was never measured
  // foretold: the gain without any trust, positive.
  void Learn(const std::vector<size_t>& units, double foretold, double measured);

 private:
  std::map<std::vector<size_t>, double> shares_;
};

// Leaves units float, those first that take most noise away per multiply-add, until every row is at most
// `target`. What a candidate takes away is foretold from the noise of every constant and every pair alone,
// which adds up nearly; candidates are then measured in that order until none is foretold more than the best
// of them has brought, which is taken.
class PrecisionSearch {
 public:
  PrecisionSearch(const PartialPlans& plans, const OutputNoise& noise, const std::vector<Sample>& samples,
                  ThreadPool& pool, const ProgressCall& progress);

  // Goes on from where it stands. Returns whether the target is met; it is not when more than nine tenths of
  // the multiply-adds would have to be float. With `prune`, units that turn out not to be needed are int8
  // again in the end.
  bool Reach(double target, bool prune);

  const std::set<size_t>& float_units() const { return float_; }
  const std::vector<PrecisionStep>& steps() const { return steps_; }
  const NoiseRatios& noise() const { return now_; }  // as it stands
  int64_t int8_macs() const { return Int8Macs(float_); }
  // For a curve: leaves units float by the foretold gain alone, until no more than `share` of the
  // multiply-adds is int8 or at least `operators` units more than before are float, and measures once.
  CurvePoint Point(double share, size_t operators);

 private:
  struct Move {
    std::vector<size_t> units;
    double foretold = 0, score = 0;  // gain by cost: as foretold, and as far as that is trusted
  };
  void MeasureSources(const ProgressCall& progress);
  void ListMoves();
  NoiseRatios Foretell(const std::set<size_t>& float_units) const;
  NoiseRatios Measure(const std::set<size_t>& float_units);
  double Gain(const NoiseRatios& before, const NoiseRatios& after, double target) const;
  double Cost(const std::set<size_t>& float_units, const std::vector<size_t>& more) const;
  std::vector<Move> Ranked(double target) const;
  bool Met(const NoiseRatios& noise, double target) const;
  void Prune(double target);
  int64_t Int8Macs(const std::set<size_t>& float_units) const;

  const PartialPlans& plans_;
  const OutputNoise& measure_;
  const std::vector<Sample>& samples_;
  ThreadPool& pool_;
  std::vector<NoiseRatios> constants_;      // by unit: the noise of its constants alone
  std::map<ValueId, NoiseRatios> pairs_;    // of each pair alone
  std::vector<std::vector<size_t>> moves_;  // units that may become float together
  MoveTrust trust_;
  size_t measured_ = 0;  // times that Measure() ran
  std::set<size_t> float_;
  NoiseRatios now_;
  std::vector<PrecisionStep> steps_;
};

}  // namespace xslim

#endif  // XSLIM_TUNE_SENSITIVITY_H_
