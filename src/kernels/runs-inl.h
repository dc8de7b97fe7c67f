// Which columns of a panel lie side by side, for packing them together. Included inside an anonymous namespace.

struct Run {
  int64_t column, length, offset;  // of the panel; how many; where the first one lies
};

// Of columns that lie at offsets[0], ..., offsets[count - 1]; at most `count` runs.
inline int64_t FindRuns(const int64_t* offsets, int64_t count, Run* runs) {
  int64_t found = 0;
  for (int64_t j = 0; j < count; ++j) {
    if (j > 0 && offsets[j] == offsets[j - 1] + 1) {
      ++runs[found - 1].length;
    } else {
      runs[found++] = {j, 1, offsets[j]};
    }
  }
  return found;
}
