#include <string>
#include <vector>

#include "models/data/samples.h"
#include "models/import.h"
#include "tests/models/damaged_bytes.h"

namespace qb {
namespace {

const std::string kImages = from_hex(
    "00000803"
    "00000002"
    "00000002"
    "00000003"
    "000102030405060708090aff");
const std::string kLabels = from_hex(
    "00000801"
    "00000002"
    "0703");

TEST_CASE("IDX images get a channel and their labels") {
  const RawSamples samples = read_idx_samples(kImages, "images", kLabels, "labels");
  CHECK(samples.values.shape == Shape{2, 1, 2, 3});
  CHECK(samples.targets == std::vector<std::int32_t>{7, 3});
  CHECK(samples.classes == 8);
  const std::string three = from_hex(
      "00000801"
      "00000003"
      "070301");
  CHECK(fault_of([&] { read_idx_samples(kImages, "images", three, "labels"); }) == "labels: 3 labels for 2 samples");
  CHECK(fault_of([&] { read_idx_samples(kImages, "images", kImages, "labels"); }).find("one dimension") !=
        std::string::npos);
  const std::string none = from_hex(
      "00000803"
      "00000000"
      "00000002"
      "00000003");
  CHECK(fault_of([&] { read_idx_samples(none, "images", kLabels, "labels"); }).find("no samples") != std::string::npos);
}

TEST_CASE("CSV lines are numbers and a class, with or without a header") {
  for (const std::string header : {"", "a,b,class\n"}) {
    const RawSamples samples = read_csv_samples(header + "1.5,-2,wren\r\n0,3e2,finch\n\n4,5,wren\n", "a.csv");
    CHECK(samples.values.shape == Shape{3, 2});
    CHECK(samples.values.as<double>()[3] == 300.0);
    CHECK(samples.targets == std::vector<std::int32_t>{1, 0, 1});  // finch, wren: alphabetical
    CHECK(samples.classes == 2);
  }
  CHECK(read_csv_samples("1,0\n2,11\n3,2\n", "a.csv").targets == std::vector<std::int32_t>{0, 11, 2});
  const auto fault = [](const std::string& text) { return fault_of([&] { read_csv_samples(text, "a.csv"); }); };
  CHECK(fault("1,2,a\n1,a\n") == "a.csv: line 2 has 2 fields, the first has 3");
  CHECK(fault("1,2,a\n1,x,a\n") == "a.csv: line 2 has 'x' where a number should be");
  CHECK(fault("1,2,\n").find("without a class") != std::string::npos);
  CHECK(fault("a,b,c\n").find("header only") != std::string::npos);
  CHECK(fault("").find("no lines") != std::string::npos);
  CHECK(fault("1\n").find("one column") != std::string::npos);
  CHECK(fault("1,-3\n").find("class -3") != std::string::npos);
  CHECK(fault("1,nan,a\n").find("'nan'") != std::string::npos);
}

TEST_CASE("byte records are as many as their labels") {
  const std::string labels = "one.bin,12,7\ntwo.bin,12,2\n", records = from_hex("00ff807f0102");
  const RawSamples samples = read_byte_samples(records, "a.bin", {1, 3}, labels, "a.csv");
  CHECK(samples.values.shape == Shape{2, 1, 3});
  CHECK(samples.values.as<std::int8_t>()[2] == -128);
  CHECK(samples.targets == std::vector<std::int32_t>{7, 2});
  for (std::size_t size = 0; size < records.size(); ++size)
    CHECK(!fault_of([&] { read_byte_samples(records.substr(0, size), "a.bin", {1, 3}, labels, "a.csv"); }).empty());
  CHECK(fault_of([&] {
          read_byte_samples(records, "a.bin", {1, 3}, "a,x\nb,y\n", "a.csv");
        }).find("class numbers") != std::string::npos);
}

TEST_CASE("npy inputs and labels are read together") {
  const float values[] = {1, 2, 3, 4};
  const std::int64_t labels[] = {1, 0};
  const std::string inputs = write_npy(tensor_of({2, 2}, values)), targets = write_npy(tensor_of({2}, labels));
  CHECK(read_npy_samples(inputs, "x.npy", targets, "y.npy").targets == std::vector<std::int32_t>{1, 0});
  const auto fault = [&](const std::string& file) {
    return fault_of([&] { read_npy_samples(inputs, "x.npy", file, "y.npy"); });
  };
  CHECK(fault(inputs).find("one dimension") != std::string::npos);
  CHECK(fault(write_npy(tensor_of({4}, values))).find("f32") != std::string::npos);
  const std::int64_t negative[] = {1, -1};
  CHECK(fault(write_npy(tensor_of({2}, negative))) == "y.npy: label -1 of sample 1; accepted are 0 to 1048575");
}

TEST_CASE("CIFAR records are a label and three planes") {
  std::string records;
  for (int i = 0; i < 2; ++i) {
    records += char(9 - i);
    for (int pixel = 0; pixel < 3072; ++pixel) records += char((pixel / 1024) * 10 + i);
  }
  const RawSamples samples = read_cifar_samples(records, "a.bin");
  CHECK(samples.values.shape == Shape{2, 3, 32, 32});
  CHECK(samples.targets == std::vector<std::int32_t>{9, 8});
  CHECK(samples.classes == 10);
  CHECK(samples.values.as<std::uint8_t>()[3072 + 2048] == 21);
  CHECK(fault_of([&] { read_cifar_samples(records.substr(0, 6145), "a.bin"); }).find("3073") != std::string::npos);
  CHECK(fault_of([&] { read_cifar_samples("", "a.bin"); }).find("3073") != std::string::npos);
  records[0] = 10;
  CHECK(fault_of([&] { read_cifar_samples(records, "a.bin"); }).find("label 10 of sample 0") != std::string::npos);
}

TEST_CASE("files of one set are joined in their order") {
  std::vector<RawSamples> parts;
  parts.push_back(read_idx_samples(kImages, "images", kLabels, "labels"));
  parts.push_back(read_idx_samples(kImages, "images", kLabels, "labels"));
  const RawSamples all = joined(parts, "both");
  CHECK(all.values.shape == Shape{4, 1, 2, 3});
  CHECK(all.values.as<std::uint8_t>()[23] == 255);
  CHECK(all.targets == std::vector<std::int32_t>{7, 3, 7, 3});
  parts[1].values.shape = {2, 1, 3, 2};
  CHECK_THROWS_AS(joined(parts, "both"), DataError);
}

}  // namespace
}  // namespace qb
