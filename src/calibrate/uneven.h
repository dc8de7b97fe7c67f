// Operators that would press tensors of very different sizes into one scale, found in what calibration saw:
// an int8 tensor has 255 steps for all of them, and the small ones would be erased.
#ifndef XSLIM_CALIBRATE_UNEVEN_H_
#define XSLIM_CALIBRATE_UNEVEN_H_

#include <map>
#include <set>
#include <string>

#include "calibrate/calibrate.h"
#include "quant/plan.h"

namespace xslim {

// Scores that other data may well hold, whatever the calibration data do, and half of that.
inline constexpr float kLikelyScore = 0.95f, kMostSmallScore = kLikelyScore / 2;

// Operands of what may add a mask that have no pair of their own: inside a fused unit, say. FindUneven looks
// at their statistics beside those of the plan's activations.
std::set<ValueId> MaskOperands(const Graph& graph, const QuantPlan& plan);

// Of the plan's operators, with the reason as the report gives it:
//   - an Add or Sub in front of a Softmax one operand of which is a mask: zeros, and numbers (or
//     infinities) so far down that the Softmax sees nothing there;
//   - at the graph's ends, with nothing but data movement and arithmetic with constants behind (unless
//     protect_outputs is never): a Concat one of whose inputs spans less than 1/16 of them all, and a Mul or
//     Div by constants that differ by more than that, and a Sigmoid (or a Mul of two) whose results are all
//     below kMostSmallScore: codes for these would cut off the scores of what calibration has not seen, and codes
//     for both would erase these (also one that a body captures);
//   - one without weights whose result a Log reads, or something is divided by (by its root or power, too):
//     numbers that all are above zero (divisors: or below), some of them less than a step of the largest, and
//     divisors of both signs: the int8 tensor would make zeros of some, and the Log or quotient infinities or
//     no numbers;
//   - a product of weights whose result goes to a Log, through arithmetic with constants at most: numbers
//     that are not below zero, with such differences (the energies of a filter bank).
std::map<NodeId, std::string> FindUneven(const Graph& graph, const QuantPlan& plan,
                                         const StatisticsMap& statistics, ProtectOutputs protect);

}  // namespace xslim

#endif  // XSLIM_CALIBRATE_UNEVEN_H_
