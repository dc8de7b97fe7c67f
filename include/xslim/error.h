// The one exception type of the library. Thrown anywhere below main, printed only by main.
#ifndef XSLIM_ERROR_H_
#define XSLIM_ERROR_H_

#include <stdexcept>
#include <string>

namespace xslim {

// What went wrong, where, and what to do about it. Callers of Run() may tell UsageError (below) apart; the
// library's own kinds are in src: OutOfMemory (tensor/tensor.h), Unsupported (ops/operator.h), TooManySteps
// (runtime/executor.h).
//   what  : one sentence, e.g. "calibration_type entropy not implemented yet."
//   where : file, JSON path, node or tensor, e.g. "config.json: calibration_parameters.calibration_type"
//   hint  : what was expected or what to do; may be empty
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, std::string where = "", std::string hint = "")
      : std::runtime_error(Text(what, where, hint)), where_(std::move(where)), hint_(std::move(hint)) {}
  const std::string& where() const { return where_; }
  const std::string& hint() const { return hint_; }

 private:
  static std::string Text(const std::string& what, const std::string& where, const std::string& hint) {
    std::string text = where.empty() ? what : where + ": " + what;
    if (!hint.empty()) text += " (" + hint + ")";
    return text;
  }
  std::string where_, hint_;
};

// Options that cannot be meant so, whatever the files hold. Thrown before anything is written.
class UsageError : public Error {
 public:
  using Error::Error;
};

}  // namespace xslim

#endif  // XSLIM_ERROR_H_
