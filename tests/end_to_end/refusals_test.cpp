// Bad input: one clear sentence, exit 2 or 3, nothing half-written.
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>

#include "models/import.h"
#include "tests/end_to_end/programs.h"

using namespace qb;

namespace {

/// One line, not empty, ending like a sentence of ours: no stack of causes, no library's jargon.
void check_sentence(const std::string& err) {
  CHECK_MESSAGE(!err.empty(), "nothing was said");
  CHECK_MESSAGE(std::count(err.begin(), err.end(), '\n') == 1, err);
}

/// No run file and no temporary file anywhere below the folder.
void check_nothing_written(const Folder& folder) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder.path())) {
    CHECK_MESSAGE(entry.path().extension() != ".h5", entry.path().string());
    CHECK_MESSAGE(entry.path().extension() != ".tmp", entry.path().string());
  }
}

std::string study_with(const std::string& models, const std::string& quantizers, const std::string& more = "") {
  return fmt::format(
      R"({{ "name": "bad", "models": [ {} ], "quantizers": [ {} ], "accuracy": {{ "samples": 20, "calibration": 8 }}{} }})",
      models, quantizers, more);
}

Ended run_study(const Folder& folder, const std::string& text) {
  const fs::path study = folder.write("bad.json", text);
  return quantbench(folder,
                    {"run", study.string(), "--data", folder.path().string(), "--out", "out", "--workers", "1"});
}

void check_refused(const std::string& study, int code, const std::string& word) {
  const Folder folder;
  const Ended run = run_study(folder, study);
  INFO(study);
  CHECK_MESSAGE(run.code == code, run.err);
  check_sentence(run.err);
  CHECK_MESSAGE(run.err.find(word) != std::string::npos, run.err);
  check_nothing_written(folder);
}

/// A tiny ONNX-free model of our own: one dense layer, weights in safetensors, data in npy.
std::string tiny_study(const Folder& folder, const TensorMap& weights, const Tensor& inputs, const Tensor& labels) {
  folder.write("tiny.safetensors", write_safetensors(weights));
  folder.write("inputs.npy", write_npy(inputs));
  folder.write("labels.npy", write_npy(labels));
  Graph graph;
  graph.inputs = {{"x", DType::f32, {-1, 4}}};
  graph.outputs = {"y"};
  Node gemm;
  gemm.name = "dense";
  gemm.op = "Gemm";
  gemm.inputs = {"x", "w", "b"};
  gemm.outputs = {"y"};
  gemm.attributes["transB"] = std::int64_t{1};
  graph.nodes = {gemm};
  folder.write("tiny.json", to_json_text(graph));
  return study_with(R"({ "name": "tiny", "safetensors": "tiny.safetensors", "graph": "tiny.json",
                         "dataset": { "npy": "inputs.npy", "labels": "labels.npy" } })",
                    R"("rtn:w8")");
}

TensorMap tiny_weights() {
  std::vector<float> w(12);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = float(i % 5) - 2.0f;
  TensorMap weights;
  weights["w"] = tensor_of({3, 4}, w);
  weights["b"] = tensor_of({3}, std::vector<float>{0, 1, 2});
  return weights;
}

Tensor tiny_inputs() {
  std::vector<float> x(40 * 4);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = float(i * 7 % 11) - 5.0f;
  return tensor_of({40, 4}, x);
}

Tensor tiny_labels() {
  std::vector<std::int64_t> labels(40);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = std::int64_t(i % 3);
  return tensor_of({40}, labels);
}

}  // namespace

TEST_CASE("what a study gets wrong is named, with the nearest right name") {
  const std::string mlp = R"("glyphs-mlp")", rtn = R"("rtn:w8")";
  check_refused(study_with(mlp, rtn, R"(, "quantizer": [])"), 2, "'quantizers'");
  check_refused(study_with(mlp, R"("rtn:w5x")"), 2, "rtn:w5");
  check_refused(study_with(mlp, R"("rtm:w4")"), 2, "'rtn'");
  check_refused(study_with(R"("glyphs-mpl")", rtn), 2, "'glyphs-mlp'");
  check_refused(study_with(mlp, rtn, R"(, "hardware": [ { "name": "x", "isa": "avx-2" } ])"), 2, "'avx2'");
  check_refused(study_with(mlp, rtn, R"(, "kernels": [ "bset" ])"), 2, "'best'");
  check_refused(study_with(mlp, rtn, R"(, "batch": [ 0 ])"), 2, "batch");
  check_refused(study_with(mlp, rtn, R"(, "threads": [ 1, 1 ])"), 2, "threads");
  check_refused(study_with(R"({ "name": "x", "onnx": "none.onnx", "dataset": { "glyphs": {} } })", rtn), 2,
                "none.onnx");
  check_refused("{", 2, "bad.json");
  check_refused(study_with(mlp, ""), 2, "quantizers");
}

TEST_CASE("files and folders that are not there or cannot be used are named") {
  const Folder folder;
  CHECK(quantbench(folder, {"run", "none.json"}).code == 2);
  CHECK(quantbench(folder, {"report", "none.h5"}).code != 0);
  CHECK(quantbench(folder, {"rnu"}).code == 2);
  folder.write("plain", "a file, not a folder");
  const fs::path study = folder.write("ok.json", study_with(R"("glyphs-mlp")", R"("rtn:w8")"));
  const Ended run = quantbench(folder, {"run", study.string(), "--out", "plain/below"});
  CHECK(run.code == 2);
  check_sentence(run.err);
  check_nothing_written(folder);
}

TEST_CASE("a port in use is said before anything starts") {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(listener, 1) == 0);
  socklen_t size = sizeof address;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const std::string port = std::to_string(ntohs(address.sin_port));

  const Folder folder;
  const fs::path study = folder.write("ok.json", study_with(R"("glyphs-mlp")", R"("rtn:w8")"));
  const Ended run = quantbench(folder, {"run", study.string(), "--out", "out", "--port", port});
  ::close(listener);
  CHECK(run.code == 2);
  check_sentence(run.err);
  CHECK_MESSAGE(run.err.find(port) != std::string::npos, run.err);
  check_nothing_written(folder);
}

TEST_CASE("no room for the run's files ends in a sentence and leaves no half file") {
  const Folder folder;
  const fs::path study = folder.write("ok.json", study_with(R"("glyphs-mlp")", R"("float", "rtn:w8")"));
  const Ended run = quantbench(folder, {"run", study.string(), "--out", "out", "--workers", "1"}, [] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{16384, 16384};  // the journal's first pages do not fit
    ::setrlimit(RLIMIT_FSIZE, &limit);
  });
  CHECK(run.code == 2);
  CHECK(!run.err.empty());
  check_nothing_written(folder);
}

TEST_CASE("a good tiny model runs; weights and data of the wrong kind do not") {
  {
    const Folder folder;
    const Ended run = run_study(folder, tiny_study(folder, tiny_weights(), tiny_inputs(), tiny_labels()));
    CHECK_MESSAGE(run.code == 0, run.err);
    check_complete(read_run_file(run_file_in(folder.path() / "out")), 1);
  }
  {
    TensorMap weights = tiny_weights();
    weights["w"].as<float>()[5] = std::numeric_limits<float>::quiet_NaN();
    const Folder folder;
    const Ended run = run_study(folder, tiny_study(folder, weights, tiny_inputs(), tiny_labels()));
    CHECK_MESSAGE(run.code == 3, run.err);
    CHECK_MESSAGE((run.out + run.err).find("'w'") != std::string::npos, (run.out + run.err));
  }
  {
    TensorMap weights = tiny_weights();
    weights["w"] = tensor_of({4, 3}, std::vector<float>(12, 1.0f));
    const Folder folder;
    const Ended run = run_study(folder, tiny_study(folder, weights, tiny_inputs(), tiny_labels()));
    CHECK_MESSAGE(run.code == 3, run.err);
    CHECK_MESSAGE((run.out + run.err).find("dense") != std::string::npos, (run.out + run.err));
  }
}

TEST_CASE("truncated files of every kind are refused with exit 3") {
  const Folder folder;
  const std::string study = tiny_study(folder, tiny_weights(), tiny_inputs(), tiny_labels());
  for (const char* name : {"tiny.safetensors", "inputs.npy", "labels.npy", "tiny.json"}) {
    const std::string whole = text_of(folder.path() / name);
    folder.write(name, whole.substr(0, whole.size() / 2));
    const Ended run = run_study(folder, study);
    CHECK_MESSAGE(run.code == 3, std::string(name), ": ", run.err);
    CHECK_MESSAGE((run.out + run.err).find(name) != std::string::npos, std::string(name), ": ", run.out, run.err);
    folder.write(name, whole);
    fs::remove_all(folder.path() / "out");
  }
  folder.write("half.h5", "\x89HDF\r\n\x1a\n half of something");
  const Ended report = quantbench(folder, {"report", "half.h5"});
  CHECK(report.code == 3);
  check_sentence(report.err);
}
