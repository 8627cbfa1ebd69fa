// How QLinear operators round: against gemmlowp's golden rows, and in the ties where the ways differ.
#include "models/integer_result.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "models/executor.h"
#include "tests/golden_json.h"

namespace qb {
namespace {

Tensor one_code(DType type, int value) {
  Tensor tensor(type, {1});
  tensor.bytes.as<std::uint8_t>()[0] = std::uint8_t(value);
  return tensor;
}

Tensor one_scale(float scale) { return tensor_of({1}, std::vector<float>{scale}); }

/// Codes of the sums, which come from the bias alone: one channel each, all multiplied by `multiplier`.
std::vector<int> codes_of(const std::vector<std::int32_t>& sums, float multiplier, int zero, DType type,
                          const std::string& rounding, bool by_kernel) {
  const auto n = std::ssize(sums);
  Tensor bias(DType::i32, {n}), x(DType::u8, {1, 1, 1, 1}), w(DType::i8, {n, 1, 1, 1});
  std::ranges::copy(sums, bias.as<std::int32_t>().begin());
  Model model;
  Node node{"node", "QLinearConv", {"x", "x_scale", "x_zero", "w", "one", "w_zero", "one", "y_zero", "bias"}, {"y"}, {},
            {}};
  if (!rounding.empty()) node.attributes.emplace(kRoundingAttribute, rounding);
  model.graph = {{node}, {{"x", DType::u8, x.shape}}, {"y"}};
  model.weights = {{"x_scale", one_scale(multiplier)}, {"x_zero", one_code(DType::u8, 0)}, {"one", one_scale(1)},
                   {"w_zero", one_code(DType::i8, 0)}, {"y_zero", one_code(type, zero)},   {"bias", bias}};
  std::vector<Tensor> inputs = {x};
  if (by_kernel) {
    model.weights.emplace("w", w);
  } else {
    model.graph.inputs.push_back({"w", DType::i8, w.shape});
    inputs.push_back(w);
  }
  Executor executor(model, {});
  CHECK(executor.layers().size() == (by_kernel ? 1u : 0u));
  executor.run(inputs);
  const Tensor& y = executor.outputs()[0];
  std::vector<int> codes;
  for (std::int64_t i = 0; i < n; ++i)
    codes.push_back(type == DType::u8 ? int(y.as<std::uint8_t>()[std::size_t(i)])
                                      : int(y.as<std::int8_t>()[std::size_t(i)]));
  return codes;
}

TEST_CASE("ties fall as each runtime lets them fall") {
  // m, z, sum, then reference, onnxruntime, fixed-double, fixed-single; the halves by hand.
  const struct {
    float multiplier;
    int zero, sum, codes[4];
  } rows[] = {
      {0.5f, 0, 1, {0, 0, 1, 1}},   // 0.5: even is 0; fixed point goes up
      {0.5f, 1, 1, {2, 1, 2, 2}},   // 0.5 + 1 = 1.5: even is 2; but 0 + 1
      {0.5f, 1, 3, {2, 3, 3, 3}},   // 1.5 + 1 = 2.5: even is 2; but 2 + 1
      {0.5f, 2, 3, {4, 4, 4, 4}},   // an even zero point changes no parity
      {0.5f, 3, -1, {2, 3, 3, 3}},  // -0.5 + 3 = 2.5
      {0.25f, 0, 1, {0, 0, 1, 0}},  // 0.25: two roundings go up twice
      {0.25f, 5, 6, {6, 7, 7, 7}},  // 1.5 + 5 = 6.5
      {1.0f, 7, 120, {127, 127, 127, 127}},
      {1.0f, 7, -2000000000, {-128, -128, -128, -128}},
      // 1.5 less 2^-24 becomes 1.5 in float32; of the others only the one with a single rounding sees the difference.
      {0x1p-24f, 0, 25165823, {2, 2, 2, 1}},
  };
  const std::vector<std::string> names = code_rounding_names();
  REQUIRE(names == std::vector<std::string>{"reference", "onnxruntime", "fixed-double", "fixed-single"});
  for (const auto& row : rows)
    for (std::size_t r = 0; r < names.size(); ++r)
      for (const bool by_kernel : {false, true}) {
        INFO(fmt::format("{} * {} + {}, {}", row.sum, row.multiplier, row.zero, names[r]));
        CHECK(codes_of({row.sum}, row.multiplier, row.zero, DType::i8, names[r], by_kernel)[0] == row.codes[r]);
        if (r == 0) CHECK(codes_of({row.sum}, row.multiplier, row.zero, DType::i8, "", by_kernel)[0] == row.codes[0]);
      }
}

TEST_CASE("fixed point gives gemmlowp's golden rows, saturated to codes") {
  const nlohmann::json rows = golden("requant/gemmlowp_requant.json");
  if (rows.is_null()) return;
  int compared = 0;
  for (const auto& row : rows["requant"]["rows"]) {
    const double real = std::strtod(row[1].get<std::string>().c_str(), nullptr);
    if (double(float(real)) != real) continue;  // no scales of float32 give it
    const int zero = compared % 2 == 0 ? 3 : -4;
    for (const bool is_double : {true, false}) {
      INFO(fmt::format("{} * {}", row[0].get<int>(), real));
      const std::int64_t wanted =
          std::clamp<std::int64_t>(row[is_double ? 4 : 5].get<std::int64_t>() + zero, -128, 127);
      CHECK(codes_of({row[0].get<int>()}, float(real), zero, DType::i8, is_double ? "fixed-double" : "fixed-single",
                     true)[0] == wanted);
    }
    ++compared;
  }
  CHECK(compared >= 100);
}

TEST_CASE("a rounding that is not known, and scales that fixed point cannot hold, are refused") {
  const auto fault_of = [](float multiplier, const std::string& rounding) -> std::string {
    try {
      codes_of({1}, multiplier, 0, DType::u8, rounding, true);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(fault_of(0.5f, "onnxruntme").find("did you mean 'onnxruntime'") != std::string::npos);
  CHECK(fault_of(0x1p30f, "fixed-double").find("2^30") != std::string::npos);
  CHECK(fault_of(-1.0f, "fixed-single").find("channel 0") != std::string::npos);
  CHECK(fault_of(-1.0f, "reference").empty());
}

}  // namespace
}  // namespace qb
