// xslim_bench: the matrix product against the core's measured peak, and, given a model, the time of a float
// forward with a profile by operator type and the rates of its heaviest matrix products and convolutions.
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/kernels.h"
#include "onnx/model_io.h"
#include "quant/facts.h"
#include "runtime/executor.h"
#include "simplify/simplify.h"
#include "xslim/error.h"

namespace {

using xslim::DType;
using xslim::Shape;
using xslim::Tensor;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Seconds of processor time of all threads.
double ProcessorSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// The shortest of `runs` calls, in seconds: what other load on the machine disturbs least. Loops of one
// thread are timed by the processor's clock, which leaves out what other programs take.
template <typename F>
double Best(int runs, const F& call, double (*clock)() = Now) {
  double best = 1e30;
  for (int i = 0; i < runs; ++i) {
    const double begin = clock();
    call();
    best = std::min(best, clock() - begin);
  }
  return best;
}

std::vector<float> RandomFloats(size_t n, uint64_t seed) {
  xslim::Random random(seed);
  std::vector<float> values(n);
  for (float& value : values) value = random.Unit() - 0.5f;
  return values;
}

// GFLOP/s of one register tile over panels that stay in the first-level cache: the multiply-adds are all that
// is left.
double PeakGflops(const xslim::kernels::Table& table) {
  const int64_t m = table.mr, n = table.nr, k = 128, repeats = 4000;
  const auto a = RandomFloats(static_cast<size_t>(m * k), 1), b = RandomFloats(static_cast<size_t>(n * k), 2);
  std::vector<float> c(static_cast<size_t>(m * n));
  const double seconds = Best(
      20,
      [&] {
        for (int64_t i = 0; i < repeats; ++i) {
          table.gemm(m, n, k, a.data(), b.data(), c.data(), n, nullptr, nullptr, false, {});
        }
      },
      ProcessorSeconds);
  return 2e-9 * static_cast<double>(m * n * k * repeats) / seconds;
}

#if defined(__x86_64__) && defined(__GNUC__)
constexpr int64_t kFmaSteps = 2000000;

// Twelve independent chains of fused multiply-adds in registers.
__attribute__((target("avx2,fma"), noinline)) void RunFmas() {
  typedef float Vector __attribute__((vector_size(32)));
  Vector v[12] = {};
  const Vector x = v[0] + 0.999f, y = v[0] + 0.001f;
#define XSLIM_FMA_(i) asm volatile("vfmadd213ps %2, %1, %0" : "+x"(v[i]) : "x"(x), "x"(y));
  for (int64_t i = 0; i < kFmaSteps; ++i) {
    XSLIM_FMA_(0)
    XSLIM_FMA_(1)
    XSLIM_FMA_(2)
    XSLIM_FMA_(3)
    XSLIM_FMA_(4)
    XSLIM_FMA_(5) XSLIM_FMA_(6) XSLIM_FMA_(7) XSLIM_FMA_(8) XSLIM_FMA_(9) XSLIM_FMA_(10) XSLIM_FMA_(11)
  }
#undef XSLIM_FMA_
}

double FmaGflops256() {
  return 2e-9 * 8 * 12 * static_cast<double>(kFmaSteps) / Best(20, RunFmas, ProcessorSeconds);
}
#endif

// GFLOP/s that one core can do, as far as it can be measured.
double MeasuredPeak() {
  const xslim::kernels::Table& table = xslim::kernels::Active();
#if defined(__x86_64__) && defined(__GNUC__)
  if (std::string(table.name) == "avx2") return FmaGflops256();
#endif
  return PeakGflops(table);
}

void BenchGemm() {
  const xslim::kernels::Table& table = xslim::kernels::Active();
  const int64_t size = 1024;
  const auto a = RandomFloats(static_cast<size_t>(size * size), 1),
             b = RandomFloats(static_cast<size_t>(size * size), 2);
  std::vector<float> packed_a(static_cast<size_t>((size + table.mr) * size)),
      packed_b(static_cast<size_t>((size + table.nr) * size));
  std::vector<float> c(static_cast<size_t>(size * size));
  const double pack_a = Best(
      5, [&] { table.pack_a(size, size, a.data(), size, 1, packed_a.data()); }, ProcessorSeconds);
  const double pack_b = Best(
      5, [&] { table.pack_b(size, size, b.data(), size, 1, packed_b.data()); }, ProcessorSeconds);
  const double multiply = Best(
      10,
      [&] {
        table.gemm(size, size, size, packed_a.data(), packed_b.data(), c.data(), size, nullptr, nullptr,
                   false, {});
      },
      ProcessorSeconds);
  const double flops = 2e-9 * static_cast<double>(size * size * size);
  std::printf("kernels %s, tile %d x %d\n", table.name, table.mr, table.nr);
  const double peak = MeasuredPeak();
  std::printf("register tile     %7.1f GFLOP/s\n", PeakGflops(table));
  std::printf("measured peak     %7.1f GFLOP/s\n", peak);
  std::printf("gemm 1024^3       %7.1f GFLOP/s, %.0f %% of the peak\n", flops / multiply,
              100 * flops / multiply / peak);
  std::printf("with packing      %7.1f GFLOP/s\n", flops / (multiply + pack_a + pack_b));
}

// "name=1,3,224,224"
void ReadShape(const std::string& text, std::map<std::string, Shape>* shapes) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos)
    throw xslim::Error("'" + text + "' is no shape", "--shape", "write name=1,3,224,224");
  Shape shape;
  for (size_t at = equals; at != std::string::npos; at = text.find(',', at + 1)) {
    shape.push_back(std::stoll(text.substr(at + 1)));
  }
  (*shapes)[text.substr(0, equals)] = shape;
}

std::vector<Tensor> MakeInputs(const xslim::Graph& graph, const std::map<std::string, Shape>& shapes) {
  std::vector<Tensor> inputs;
  for (xslim::ValueId id : graph.FreeInputs()) {
    const xslim::Value& value = graph.value(id);
    Shape shape;
    for (const xslim::Dim& dim : value.dims) shape.push_back(dim.size < 0 ? 1 : dim.size);
    const auto given = shapes.find(value.name);
    if (given != shapes.end()) shape = given->second;
    Tensor tensor(value.dtype, shape);
    if (value.dtype == DType::kFloat) {
      const auto values = RandomFloats(static_cast<size_t>(tensor.size()), 3);
      std::copy(values.begin(), values.end(), tensor.data<float>());
    } else {
      std::fill_n(tensor.raw(), tensor.bytes(), std::byte{0});
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

// Times are of the quickest call of each operator.
void PrintProfile(const std::vector<xslim::ProfileRow>& rows, int nodes) {
  struct Sum {
    std::string name;
    int64_t count = 0;
    double seconds = 0;
  };
  std::map<std::string, Sum> by_type;
  double all = 0;
  for (const xslim::ProfileRow& row : rows) {
    Sum& sum = by_type[row.op_type];
    sum.name = row.op_type;
    ++sum.count;
    sum.seconds += row.shortest;
    all += row.shortest;
  }
  std::vector<Sum> sums;
  for (const auto& [name, sum] : by_type) sums.push_back(sum);
  const auto slower = [](const auto& a, const auto& b) { return a.seconds > b.seconds; };
  std::sort(sums.begin(), sums.end(), slower);
  for (const Sum& sum : sums) {
    std::printf("  %-24s %4lld nodes %9.3f ms %5.1f %%\n", sum.name.c_str(),
                static_cast<long long>(sum.count), 1e3 * sum.seconds, 100 * sum.seconds / all);
  }
  std::vector<xslim::ProfileRow> sorted = rows;
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.shortest > b.shortest; });
  for (int i = 0; i < nodes && i < static_cast<int>(sorted.size()); ++i) {
    const xslim::ProfileRow& row = sorted[static_cast<size_t>(i)];
    std::printf("  %9.3f ms  %s\n", 1e3 * row.shortest, row.node.c_str());
  }
}

// The `count` operators of most multiply-adds: shape, rate, share of the cores' peak. Times are of the
// quickest call.
void PrintRates(const xslim::Graph& graph, const std::vector<Tensor>& inputs,
                const std::vector<xslim::ProfileRow>& rows, int count, int threads, xslim::ThreadPool& pool) {
  const xslim::ValueFacts facts(graph, inputs, pool);
  std::map<std::string, double> seconds;
  for (const xslim::ProfileRow& row : rows) seconds[row.node] = row.shortest;
  struct Heavy {
    const xslim::Node* node;
    int64_t macs;
  };
  std::vector<Heavy> heaviest;
  for (xslim::NodeId id : graph.Order()) {
    const xslim::Node& node = graph.node(id);
    const int64_t macs = xslim::MacsOf(node, facts);
    if (macs > 0 && seconds.count(node.Title())) heaviest.push_back({&node, macs});
  }
  std::stable_sort(heaviest.begin(), heaviest.end(),
                   [](const Heavy& a, const Heavy& b) { return a.macs > b.macs; });
  const double peak = MeasuredPeak() * threads;
  for (int i = 0; i < count && i < static_cast<int>(heaviest.size()); ++i) {
    const auto& [node, macs] = heaviest[static_cast<size_t>(i)];
    const double rate = 2e-9 * static_cast<double>(macs) / seconds[node->Title()];
    std::printf("  %7.1f GFLOP/s %4.0f %%  %s x %s -> %s  %s\n", rate, 100 * rate / peak,
                xslim::ToString(facts.of(node->input(0)).shape).c_str(),
                xslim::ToString(facts.of(node->input(1)).shape).c_str(),
                xslim::ToString(facts.of(node->outputs[0]).shape).c_str(), node->name.c_str());
  }
}

struct ModelBench {
  int threads = 1, runs = 10, nodes = 0, rates = 0;
  bool simplify = false, brief = false;
};

void BenchModel(const std::string& path, const std::map<std::string, Shape>& shapes,
                const ModelBench& bench) {
  const int threads = bench.threads, runs = bench.runs;
  xslim::Graph graph = xslim::LoadModel(path);
  if (bench.simplify) {
    xslim::SimplifyOptions simplifying;
    simplifying.legalize = true;
    xslim::Simplify(&graph, simplifying);
  }
  const std::vector<Tensor> inputs = MakeInputs(graph, shapes);
  xslim::ThreadPool pool(threads);
  {
    xslim::Executor executor(graph, pool);
    executor.Run(inputs);
    const double seconds = Best(runs, [&] { executor.Run(inputs); });
    const double processor = Best(
        runs, [&] { executor.Run(inputs); }, ProcessorSeconds);
    std::printf("%s: %.3f ms, %.3f ms of processor time, %d thread(s), best of %d\n", path.c_str(),
                1e3 * seconds, 1e3 * processor, threads, runs);
  }
  if (bench.brief) return;
  xslim::ExecutorOptions options;
  options.profile = true;
  xslim::Executor executor(graph, pool, options);
  for (int i = 0; i < runs; ++i) executor.Run(inputs);
  PrintProfile(executor.Profile(), bench.nodes);
  if (bench.rates > 0) PrintRates(graph, inputs, executor.Profile(), bench.rates, threads, pool);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times of xslim's kernels and of float forwards.");
  std::string model;
  std::vector<std::string> shape_texts;
  ModelBench bench;
  app.add_option("model", model, "an ONNX file; without it, the matrix product is measured");
  app.add_option("--shape", shape_texts, "an input's shape, e.g. input=1,3,224,224");
  app.add_option("--threads", bench.threads, "threads")->check(CLI::Range(1, 1024));
  app.add_option("--runs", bench.runs, "forwards; the best one counts")->check(CLI::Range(1, 1000000));
  app.add_option("--nodes", bench.nodes, "how many of the slowest operators to list");
  app.add_option("--rates", bench.rates, "how many of the heaviest convolutions and matrix products to rate");
  app.add_flag("--simplify", bench.simplify, "simplify the model first, as a quantization does");
  app.add_flag("--brief", bench.brief, "the time of a forward and nothing else");
  CLI11_PARSE(app, argc, argv);
  try {
    std::map<std::string, Shape> shapes;
    for (const std::string& text : shape_texts) ReadShape(text, &shapes);
    if (model.empty()) {
      BenchGemm();
    } else {
      BenchModel(model, shapes, bench);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "xslim_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
