// JSON as people write it in XSlim configs: remarks as bare strings and forgotten commas.
#ifndef XSLIM_CONFIG_TOLERANT_JSON_H_
#define XSLIM_CONFIG_TOLERANT_JSON_H_

#include <string>
#include <vector>

namespace xslim {

// A copy of `text` in which these are made valid JSON, each told in `notes` with its line:
// - a string that is neither key nor value of an object, or stands beside objects in a list: taken as a
// comment;
// - a comma missing between two entries of an object;
// - `//` and `/* */` comments.
// Anything else is left for the JSON parser to refuse.
std::string TolerateRemarks(const std::string& text, std::vector<std::string>* notes);

}  // namespace xslim

#endif  // XSLIM_CONFIG_TOLERANT_JSON_H_
