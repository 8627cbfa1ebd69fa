// Executors: the same bits for every batch and thread count, reuse of memory, observers, packed weights, refusals.
#include "models/executor.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>

#include "kernels/base/random.h"
#include "models/metrics.h"
#include "models/ops.h"

namespace {
std::atomic<long> allocations = 0;
}

// Counts what a run allocates; the whole test program uses it. Not inlined, so that the compiler sees new and delete as
// a pair.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace qb {
namespace {

using Ints = std::vector<std::int64_t>;

Tensor random_tensor(Shape shape, std::uint64_t seed, double low = -1, double high = 1) {
  Tensor tensor(DType::f32, std::move(shape));
  Random random(seed);
  for (float& value : tensor.as<float>()) value = float(random.uniform(low, high));
  return tensor;
}

std::vector<float> values_of(const Tensor& tensor) { return {tensor.as<float>().begin(), tensor.as<float>().end()}; }

/// 3x3 conv, depthwise conv, 1x1 conv with a residual, strided grouped conv, pool, two dense layers.
Model network() {
  Model model;
  model.name = "network";
  model.graph.inputs = {{"x", DType::f32, {-1, 3, 11, 9}}};
  model.graph.outputs = {"y", "hidden"};
  const auto conv = [](std::string name, std::string input, std::string output, std::int64_t group, Ints kernel,
                       Ints pads, Ints strides) {
    return Node{name,
                "Conv",
                {input, name + ".w", name + ".b"},
                {output},
                {{"group", group}, {"kernel_shape", kernel}, {"pads", pads}, {"strides", strides}},
                {}};
  };
  model.graph.nodes = {conv("c1", "x", "a", 1, {3, 3}, {1, 1, 1, 1}, {1, 1}),
                       {"r1", "Relu", {"a"}, {"b"}, {}, {}},
                       conv("c2", "b", "c", 8, {3, 3}, {1, 1, 1, 1}, {1, 1}),
                       {"r2", "LeakyRelu", {"c"}, {"d"}, {}, {}},
                       conv("c3", "d", "e", 1, {1, 1}, {0, 0, 0, 0}, {1, 1}),
                       {"add", "Add", {"e", "b"}, {"f"}, {}, {}},
                       conv("c4", "f", "g", 2, {5, 3}, {2, 0, 2, 1}, {2, 2}),
                       {"pool", "MaxPool", {"g"}, {"h"}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}, {}},
                       {"flat", "Flatten", {"h"}, {"i"}, {}, {}},
                       {"fc1", "Gemm", {"i", "fc1.w", "fc1.b"}, {"j"}, {{"transB", std::int64_t(1)}}, {}},
                       {"r3", "Tanh", {"j"}, {"hidden"}, {}, {}},
                       {"fc2", "MatMul", {"hidden", "fc2.w"}, {"k"}, {}, {}},
                       {"soft", "Softmax", {"k"}, {"y"}, {}, {}}};
  model.weights.emplace("c1.w", random_tensor({8, 3, 3, 3}, 1));
  model.weights.emplace("c2.w", random_tensor({8, 1, 3, 3}, 2));
  model.weights.emplace("c3.w", random_tensor({8, 8, 1, 1}, 3));
  model.weights.emplace("c4.w", random_tensor({12, 4, 5, 3}, 4));
  for (const auto& [name, n] : {std::pair{"c1.b", 8}, {"c2.b", 8}, {"c3.b", 8}, {"c4.b", 12}, {"fc1.b", 20}})
    model.weights.emplace(name, random_tensor({n}, 5));
  model.weights.emplace("fc1.w", random_tensor({20, 72}, 6));
  model.weights.emplace("fc2.w", random_tensor({20, 6}, 7));
  return model;
}

/// Every matrix as symmetric codes of one scale per row (or per group), activations of `bits` bits unless 32.
Model quantized(const Model& from, const QuantFormat& format, int activation_bits, bool is_static) {
  Model model = from;
  for (const MatrixWeight& which : matrix_weights(from)) {
    const std::vector<float> rows = matrix_values(from, which);
    UnpackedMatrix matrix;
    matrix.format = format;
    matrix.n = which.n;
    matrix.k = which.k;
    const std::int64_t group = format.group > 0 ? format.group : which.k;
    const auto largest = float((1 << (format.bits - 1)) - 1);
    for (std::int64_t i = 0; i < which.n; ++i) {
      for (std::int64_t begin = 0; begin < which.k; begin += group) {
        const auto row =
            std::span(rows).subspan(std::size_t(i * which.k + begin), std::size_t(std::min(group, which.k - begin)));
        float most = 0;
        for (const float value : row) most = std::max(most, std::abs(value));
        matrix.scales.push_back(most / largest);
        for (const float value : row)
          matrix.codes.push_back(std::uint8_t(std::nearbyint(value / matrix.scales.back()) + largest + 1));
      }
    }
    model.weights[which.weight] = pack(matrix);
    if (activation_bits == 32) continue;
    model.graph.nodes[which.node].activation = ActivationQuant{is_static, activation_bits, 0.03f, is_static ? -5 : 0};
  }
  return model;
}

/// The same network in float, with weights as quantized.
Model decoded(const Model& packed, const Model& original) {
  Model model = original;
  for (const MatrixWeight& which : matrix_weights(original)) {
    const std::vector<float> rows = dequantize(std::get<PackedMatrix>(packed.weights.at(which.weight)));
    Tensor& tensor = std::get<Tensor>(model.weights.at(which.weight));
    for (std::int64_t i = 0; i < which.n; ++i)
      for (std::int64_t j = 0; j < which.k; ++j)
        tensor.as<float>()[std::size_t(which.transposed ? j * which.n + i : i * which.k + j)] =
            rows[std::size_t(i * which.k + j)];
  }
  return model;
}

struct Variant {
  std::string name;
  Model model;
};

std::vector<Variant> variants() {
  const Model model = network();
  const QuantFormat q8{CodeKind::integer, 8, Sharing::channel, 0, false},
      q4{CodeKind::integer, 4, Sharing::group, 32, false};
  return {{"float", model},
          {"8-bit weights", quantized(model, q8, 32, false)},
          {"8-bit weights and activations", quantized(model, q8, 8, false)},
          {"8-bit weights and static activations", quantized(model, q8, 8, true)},
          {"4-bit weights, 8-bit activations", quantized(model, q4, 8, false)}};
}

TEST_CASE("outputs do not depend on batch, threads, observers or the run before, bit for bit") {
  constexpr std::int64_t kCount = 12;
  const Tensor all = random_tensor({kCount, 3, 11, 9}, 20, -2, 2);
  const std::size_t sample = std::size_t(all.size() / kCount);
  for (const auto& [name, model] : variants()) {
    for (const std::string kernel : {"best", "reference"}) {
      Executor whole(model, {.kernel = kernel, .batch = kCount});
      const std::vector<float> wanted = values_of(whole.run(all));
      for (const std::int64_t batch : {1, 3, 12}) {
        for (const int threads : {1, 2, 5}) {
          INFO(name << ", " << kernel << ", batch " << batch << ", " << threads << " threads");
          Executor executor(model, {.kernel = kernel, .threads = threads, .batch = batch});
          if (threads == 2)
            executor.observe({{}, [](const NodeEvent&) {}, [](const GemmEvent&) {}, [](const DepthwiseEvent&) {}});
          std::vector<float> got;
          for (std::int64_t begin = 0; begin < kCount; begin += batch) {
            const Tensor part = tensor_of(
                {batch, 3, 11, 9}, all.as<float>().subspan(std::size_t(begin) * sample, std::size_t(batch) * sample));
            const std::vector<float> scores = values_of(executor.run(part));
            got.insert(got.end(), scores.begin(), scores.end());
          }
          CHECK(got == wanted);
        }
      }
    }
  }
}

TEST_CASE("packed weights compute what their decoded values do") {
  const Model model = network();
  const Tensor x = random_tensor({4, 3, 11, 9}, 21, -2, 2);
  for (const QuantFormat format : {QuantFormat{CodeKind::integer, 8, Sharing::channel, 0, false},
                                   QuantFormat{CodeKind::integer, 4, Sharing::group, 32, false}}) {
    INFO(to_text(format));
    const Model packed = quantized(model, format, 32, false), plain = decoded(packed, model);
    Executor a(packed, {.batch = 4}), b(plain, {.batch = 4});
    // Float sums of at most 120 terms, six layers deep: rounding stays 100 dB below the signal.
    CHECK(sqnr_db(values_of(b.run(x)), values_of(a.run(x))) > 100);
    // Codes of 8-bit activations are off by at most half a step of 2^-7 of the largest value.
    const Model coded = quantized(model, format, 8, false);
    Executor c(coded, {.batch = 4});
    CHECK(sqnr_db(values_of(b.run(x)), values_of(c.run(x))) > 25);
  }
}

TEST_CASE("observers see every node and every product with its operands") {
  const Model model = network();
  const Tensor x = random_tensor({2, 3, 11, 9}, 22);
  Executor executor(model, {.threads = 2, .batch = 2});
  std::vector<std::string> before, after;
  std::int64_t products = 0, rows = 0, depthwise_results = 0;
  double worst = 0;
  executor.observe({[&](const NodeEvent& event) {
                      before.push_back(event.what->name);
                      CHECK(event.outputs.empty());
                    },
                    [&](const NodeEvent& event) {
                      after.push_back(event.what->name);
                      // With an observer no node writes over its input: Relu can be recomputed.
                      if (event.what->op != "Relu") return;
                      const auto in = event.inputs[0]->as<float>(), out = event.outputs[0]->as<float>();
                      for (std::size_t i = 0; i < in.size(); ++i) CHECK(out[i] == std::max(in[i], 0.0f));
                    },
                    [&](const GemmEvent& event) {
                      ++products;
                      const ExecutorLayer& layer = executor.layers()[event.layer];
                      CHECK(event.row_count == layer.where.n / layer.where.groups);
                      rows += event.row_count * event.call->m;
                      const std::vector<float> w = dequantize(*layer.packed);
                      double sum = 0, magnitude = 0;  // element (0, 0) again, in float64
                      for (std::int64_t t = 0; t < layer.where.k; ++t) {
                        sum += double(event.call->a[t]) * double(w[std::size_t(event.row_begin * layer.where.k + t)]);
                        magnitude += std::abs(double(event.call->a[t]) *
                                              double(w[std::size_t(event.row_begin * layer.where.k + t)]));
                      }
                      worst = std::max(worst, std::abs(sum - double(event.call->y[0])) / std::max(magnitude, 1e-30));
                    },
                    [&](const DepthwiseEvent& event) {
                      const ExecutorLayer& layer = executor.layers()[event.layer];
                      CHECK(layer.node_name == "c2");
                      CHECK(layer.kernel->operation == Operation::depthwise);
                      CHECK(event.weights == layer.prepared);
                      CHECK(event.call->channels == 8);
                      depthwise_results += 8 * event.call->batch * event.call->out[0] * event.call->out[1];
                      double sum = 0;  // result (1, 1) of the first channel, whose window lies inside
                      const std::vector<float> w = dequantize(*layer.packed);
                      for (std::int64_t t = 0; t < 9; ++t)
                        sum += double(event.call->x[t / 3 * 9 + t % 3]) * double(w[std::size_t(t)]);
                      sum += double(event.call->bias[0]);
                      CHECK(std::abs(sum - double(event.call->y[10])) <= 1e-5);
                    }});
  executor.run(x);
  CHECK(before.size() == model.graph.nodes.size());
  CHECK(after == before);
  CHECK(executor.layers().size() == 6);
  CHECK(products >= 1 + 1 + 2 + 1 + 1);
  // All rows of patches times all outputs: 2 samples of 99 positions for c1 and c3, of 24 for c4, and the dense layers.
  CHECK(rows == 2 * (99 * (8 + 8) + 24 * 12 + 20 + 6));
  CHECK(depthwise_results == 2 * 99 * 8);
  CHECK(worst <= 120 * 0x1p-24);
}

TEST_CASE("memory is shared, and nothing grows after the first run") {
  const Model model = network();
  const Tensor x = random_tensor({2, 3, 11, 9}, 23);
  Executor executor(model, {.threads = 2, .batch = 2});
  std::int64_t all_values = 0;
  executor.run(x);
  const std::int64_t once = executor.scratch_bytes();
  const Tensor* place = &executor.run(x);
  CHECK(&executor.run(x) == place);
  CHECK(executor.scratch_bytes() == once);
  std::int64_t slots_when_observed = 0;
  executor.observe(
      {{}, [&](const NodeEvent& event) { all_values += std::int64_t(event.outputs[0]->bytes.size()); }, {}});
  executor.run(x);
  slots_when_observed = executor.scratch_bytes();
  CHECK(slots_when_observed > once);
  executor.observe({});
  executor.run(x);
  CHECK(executor.scratch_bytes() == once);
  CHECK(executor.outputs().size() == 2);
  std::size_t weights = 0;
  for (const auto memory : executor.weight_memory()) weights += memory.size();
  CHECK(std::int64_t(weights) > executor.prepared_bytes());
}

TEST_CASE("a warm run allocates nothing") {
  const Tensor x = random_tensor({4, 3, 11, 9}, 26);
  for (const auto& [name, model] : variants()) {
    INFO(name);
    Executor executor(model, {.batch = 4});
    executor.run(x);
    executor.run(x);
    const long before = allocations;
    executor.run(x);
    const long after = allocations;
    CHECK(after - before == 0);
  }
}

TEST_CASE("shapes that follow the batch are folded, odd outputs are copied") {
  Model model;
  model.name = "shapes";
  model.graph.inputs = {{"x", DType::f32, {-1, 6}}};
  model.graph.outputs = {"count", "x", "z", "z", "w"};
  Tensor first = tensor_of({1}, std::vector<std::int64_t>{0}), pair = tensor_of({2}, std::vector<std::int64_t>{2, 3});
  model.graph.nodes = {{"shape", "Shape", {"x"}, {"s"}, {}, {}},
                       {"n", "Gather", {"s", "first"}, {"n0"}, {}, {}},
                       {"target", "Concat", {"n0", "pair"}, {"t"}, {{"axis", std::int64_t(0)}}, {}},
                       {"turn", "Reshape", {"x", "t"}, {"r"}, {}, {}},
                       {"sum", "ReduceSum", {"r"}, {"z"}, {{"keepdims", std::int64_t(0)}}, {}},
                       {"same", "Identity", {"s"}, {"count"}, {}, {}}};
  model.weights.emplace("first", first);
  model.weights.emplace("pair", pair);
  model.weights.emplace("w", tensor_of({2}, std::vector<float>{1, 2}));
  for (const std::int64_t batch : {1, 5}) {
    Executor executor(model, {.batch = batch});
    Tensor x(DType::f32, {batch, 6});
    std::fill(x.as<float>().begin(), x.as<float>().end(), 0.5f);
    const Tensor& y = executor.run(x);
    CHECK(y.dtype == DType::f32);
    CHECK(values_of(y) == std::vector<float>{float(batch), 6});
    CHECK(executor.outputs()[0].dtype == DType::i64);
    CHECK(values_of(executor.outputs()[1]) == values_of(x));
    CHECK(executor.outputs()[2].as<float>()[0] == float(batch) * 3);
    CHECK(executor.outputs()[3].as<float>()[0] == float(batch) * 3);
    CHECK(values_of(executor.outputs()[4]) == std::vector<float>{1, 2});
  }
}

TEST_CASE("activations that are not finite neither crash nor leave their sample") {
  for (const auto& [name, model] : variants()) {
    INFO(name);
    Executor executor(model, {.batch = 3});
    Tensor x = random_tensor({3, 3, 11, 9}, 24);
    const std::vector<float> clean = values_of(executor.run(x));
    for (const float bad : {NAN, INFINITY, 3e38f}) {
      x.as<float>()[297 + 10] = bad;
      const std::vector<float> got = values_of(executor.run(x));
      for (std::size_t i = 0; i < 6; ++i) {
        CHECK(got[i] == clean[i]);
        CHECK(got[12 + i] == clean[12 + i]);
      }
    }
  }
}

template <class Error, class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("what cannot run is refused before it runs") {
  const auto fault = [](auto change) {
    Model model = network();
    change(model);
    return refusal<DataError>([&] { Executor executor(model, {}); });
  };
  CHECK(fault([](Model&) {}).empty());
  CHECK(fault([](Model& m) { m.graph.nodes[1].op = "Rely"; }) ==
        "node 'r1': operator 'Rely' is not known; did you mean 'Relu'?");
  CHECK(fault([](Model& m) { m.weights["c1.b"] = Tensor(DType::f32, {7}); }) ==
        "node 'c1' (Conv): the bias has the shape [7] but must be [8]");
  CHECK(fault([](Model& m) {
          m.weights["fc1.w"] = Tensor(DType::f32, {20, 71});
        }) == "node 'fc1' (Gemm): an input of shape [1, 72] does not fit weights of 71 inputs");
  CHECK(fault([](Model& m) { m.graph.nodes[2].attributes["group"] = std::int64_t(3); }).find("node 'c2' (Conv)") == 0);
  CHECK(fault([](Model& m) { m.graph.inputs[0].shape[1] = 4; }).find("node 'c1' (Conv)") == 0);
  CHECK(fault([](Model& m) { m.graph.inputs[0].dtype = DType::i64; }) ==
        "node 'c1' (Conv): input 0 is i64 but must be f32");
  CHECK(fault([](Model& m) { m.graph.nodes[0].activation = ActivationQuant{}; }) ==
        "node 'c1' (Conv): activations can be quantized only where the weight is packed");

  const Model sound = network();
  Executor executor(sound, {});
  CHECK(refusal<DataError>([&] {
          executor.run(Tensor(DType::f32, {2, 3, 11, 9}));
        }) == "input 'x' of model 'network' must be f32 [1, 3, 11, 9], not f32 [2, 3, 11, 9]");
  CHECK(refusal<DataError>([&] { executor.run(std::vector<Tensor>(2)); }) == "model 'network' takes 1 inputs, not 2");
  CHECK(refusal<InputError>([&] {
          Executor other(sound, {.kernel = "fastest"});
        }).find("kernel 'fastest' is not known") == 0);

  // Activations in groups are for matrix products of integers in groups.
  const auto in_groups = [&](std::size_t node, const char* format) {
    Model model = quantized(network(), parse_quant_format(format), 32, false);
    model.graph.nodes[node].activation = ActivationQuant{.group = 32};
    return refusal<Unsupported>([&] { Executor other(model, {}); });
  };
  CHECK(in_groups(9, "q4g32").empty());
  CHECK(in_groups(0, "q4g32").find("node 'c1' (Conv): activations of convolutions have one scale per sample") == 0);
  CHECK(in_groups(9, "q4g64").find("node 'fc1' (Gemm): activations with a scale per 32 columns do not fit") == 0);

  // A codebook has no product with 8-bit activations.
  Model tables = network();
  const MatrixWeight which = matrix_weights(tables)[0];
  UnpackedMatrix matrix;
  matrix.format = parse_quant_format("t2t");
  matrix.n = which.n;
  matrix.k = which.k;
  matrix.table = {-1, -0.25f, 0.25f, 1};
  matrix.codes.assign(std::size_t(which.n * which.k), 1);
  tables.weights[which.weight] = pack(matrix);
  CHECK(values_of(Executor(tables, {}).run(random_tensor({1, 3, 11, 9}, 1))).size() == 6);
  tables.graph.nodes[which.node].activation = ActivationQuant{};
  CHECK(refusal<Unsupported>([&] { Executor other(tables, {}); }) ==
        "node 'c1' (Conv): no kernel computes s8 activations with weights packed as t2t");
}

}  // namespace
}  // namespace qb
