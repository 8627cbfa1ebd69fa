#include "harness/commands.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "harness/data_folders.h"
#include "harness/doctor.h"
#include "harness/listing.h"
#include "harness/null_run.h"
#include "harness/plan.h"
#include "harness/run_study.h"
#include "harness/table_output.h"
#include "harness/tls.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/parallel.h"
#include "kernels/base/text.h"
#include "quantizers/training/zoo.h"
#include "reports/check.h"
#include "reports/record/run_file.h"

namespace qb {

namespace {

namespace fs = std::filesystem;

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) != 0) throw InputError("standard output cannot be written");
}

/// Everything the command line may say.
struct CommandLine {
  RunOptions run;
  bool resume = false, fresh = false, json = false, csv = false, init_tls = false, null_units = false;
  std::string list_of, format = "terminal", output, train_out;
  std::vector<std::string> runs, names;
  int workers = -1;
  int threads = 0;
};

void add_study(CLI::App& app, CommandLine& line) {
  app.add_option("STUDY", line.run.study, "study file (JSON; configs/README.md describes its keys)")->required();
  app.add_option("--data", line.run.data,
                 "folder in which model and data paths are looked up, before the shipped configs; repeatable")
      ->allow_extra_args(false);
  app.add_option("--unit", line.run.units, "only the unit whose id begins so; repeatable")->allow_extra_args(false);
}

void add_run(CLI::App& app, CommandLine& line) {
  add_study(app, line);
  app.add_option("--out", line.run.out, "folder for run folders")->capture_default_str();
  app.add_option("--workers", line.workers, "local worker processes (default: the study's `workers`, 2; `serve`: 0)")
      ->check(CLI::Range(0, 1024));
  app.add_option("--port", line.run.port, "port to listen on; 0: any free one")->capture_default_str();
  app.add_option("--bind", line.run.bind, "address to listen on; other than loopback needs TLS")->capture_default_str();
  auto* resume = app.add_flag("--resume", line.resume, "go on with a run that was begun before");
  app.add_flag("--fresh", line.fresh, "begin anew; an earlier run is kept under another name")->excludes(resume);
  auto* json = app.add_flag("--json", line.json, "print the table as JSON");
  app.add_flag("--csv", line.csv, "print the table as CSV")->excludes(json);
}

int run_command(CommandLine& line) {
  line.run.begin = line.resume ? Begin::resume : line.fresh ? Begin::fresh : Begin::first;
  line.run.format = line.json ? TableFormat::json : line.csv ? TableFormat::csv : TableFormat::terminal;
  if (line.workers >= 0) line.run.workers = line.workers;
  return run_study(line.run);
}

int serve_command(CommandLine& line) {
  const TlsFiles files = tls_files(line.run.out);
  if (line.init_tls) {
    make_self_signed(files);
    print(fmt::format("certificate {}\nfingerprint {}\n", files.certificate.string(),
                      certificate_fingerprint(files.certificate)));
    if (line.run.study.empty()) return kExitDone;
  }
  if (line.run.study.empty()) throw InputError("serve: no study is named; give one, or --init-tls");
  line.run.serve = true;
  if (!line.fresh) line.resume = true;  // a coordinator that comes back takes up where it was
  return run_command(line);
}

int plan_command(CommandLine& line) {
  Plan plan = make_plan(read_study(line.run.study, data_roots(line.run.data)));
  plan.data_options = line.run.data;
  if (!line.run.units.empty()) plan = only_units(plan, line.run.units);
  print(line.json ? plan_json(plan).dump(2) + "\n" : plan_text(plan));
  return kExitDone;
}

int report_command(CommandLine& line) {
  static const std::map<std::string, TableFormat> kFormats = {{"terminal", TableFormat::terminal},
                                                              {"markdown", TableFormat::markdown},
                                                              {"csv", TableFormat::csv},
                                                              {"json", TableFormat::json},
                                                              {"svg", TableFormat::svg}};
  if (line.format == "svg" && line.runs.size() > 1) throw InputError("--format svg draws one run; name one run file");
  std::string text;
  for (const std::string& path : line.runs) {
    if (!text.empty()) text += "\n";
    text += table_text(read_run_file_guarded(path), kFormats.at(line.format));
  }
  if (line.output.empty())
    print(text);
  else
    write_file_atomically(line.output, text);
  return kExitDone;
}

int check_command(CommandLine& line) {
  std::size_t faults = 0;
  for (const std::string& path : line.runs) {
    const RunRecord record = read_run_file_guarded(path);
    const std::vector<std::string> sentences = check_run(record);
    for (const std::string& sentence : sentences) print(fmt::format("{}: {}\n", path, sentence));
    if (sentences.empty())
      print(fmt::format("{}: {} units, {} measurements: all agree\n", path, record.plan.size(),
                        record.measurements.size()));
    faults += sentences.size();
  }
  return faults == 0 ? kExitDone : kExitData;
}

int list_command(CommandLine& line) {
  const Json rows = listing(line.list_of, data_roots(line.run.data));
  constexpr int kPage = 120;
  print(line.json ? rows.dump(2) + "\n" : listing_text(line.list_of, rows, output_columns(kPage)));
  return kExitDone;
}

int train_command(CommandLine& line) {
  fs::path zoo = line.train_out;
  if (line.train_out.empty()) {
    const fs::path configs = shipped_configs();
    if (configs.empty()) throw InputError("train: the folder configs was not found; name one with --out");
    zoo = configs / "zoo";
  }
  if (line.names.empty())
    for (const ZooModel& model : zoo_models()) line.names.emplace_back(model.name);
  ZooOptions options;
  options.threads = line.threads > 0 ? line.threads : hardware_threads();
  for (const std::string& name : line.names) {
    const ZooReport report = train_zoo_model(
        name, zoo, [](std::string_view words) { std::fprintf(stderr, "%.*s\n", int(words.size()), words.data()); },
        options);
    print(fmt::format("{}: test accuracy {:.4f}, loss {:.4f} nats, weights {}\n", name, report.accuracy,
                      report.loss_nats, report.weights_sha256.substr(0, 16)));
  }
  return kExitDone;
}

int doctor_command(CommandLine& line) {
  if (line.null_units) {
    const Json figures = settle_null_units(64, 5.0, fs::current_path());
    print(
        line.json
            ? figures.dump(2) + "\n"
            : fmt::format(
                  "{} null units settled durably for {} simulated workers in {:.2f} s of the coordinator's time, without sockets: {:.0f} per second, {} synced commits\n",
                  figures["units"].dump(), figures["workers"].dump(), figures["seconds"].get<double>(),
                  figures["units_per_s"].get<double>(), figures["commits"].dump()));
    return kExitDone;
  }
  const Json facts = machine_facts();
  print(line.json ? facts.dump(2) + "\n" : machine_text(facts));
  return kExitDone;
}

struct Entry {
  const char *name, *summary;
  void (*declare)(CLI::App&, CommandLine&);
  int (*run)(CommandLine&);
};

constexpr Entry kCommands[] = {
    {"run", "measure a study with local workers", add_run, run_command},
    {"serve", "coordinate a study whose workers dial in",
     [](CLI::App& app, CommandLine& line) {
       add_run(app, line);
       app.get_option("STUDY")->required(false);
       app.add_flag("--init-tls", line.init_tls, "make a self-signed certificate in OUT/tls and say its fingerprint");
     },
     serve_command},
    {"plan", "show the units of a study and what is excluded",
     [](CLI::App& app, CommandLine& line) {
       add_study(app, line);
       app.add_flag("--json", line.json, "as JSON");
     },
     plan_command},
    {"report", "print the table of run files",
     [](CLI::App& app, CommandLine& line) {
       app.add_option("RUN", line.runs, "run files (.h5)")->required();
       app.add_option("--format", line.format, "what to print")
           ->check(CLI::IsMember({"terminal", "markdown", "csv", "json", "svg"}))
           ->capture_default_str();
       app.add_option("-o,--output", line.output, "file to write instead of standard output");
     },
     report_command},
    {"check", "derive what a run file says anew from its raw samples",
     [](CLI::App& app, CommandLine& line) { app.add_option("RUN", line.runs, "run files (.h5)")->required(); },
     check_command},
    {"list", "say what the axes of a study may hold",
     [](CLI::App& app, CommandLine& line) {
       app.add_option("WHAT", line.list_of, "models, quantizers, kernels, hardware or datasets")->required();
       app.add_option("--data", line.run.data, "folder with further models; repeatable")->allow_extra_args(false);
       app.add_flag("--json", line.json, "as JSON");
     },
     list_command},
    {"train", "train the shipped models",
     [](CLI::App& app, CommandLine& line) {
       app.add_option("NAME", line.names, "models of the zoo (default: all)");
       app.add_option("--out", line.train_out, "zoo folder to write to (default: the shipped configs/zoo)");
       app.add_option("--threads", line.threads, "threads to use; the files do not depend on it (default: all)")
           ->check(CLI::Range(1, 4096));
     },
     train_command},
    {"doctor", "say what this machine is, can do, and what disturbs measurements on it",
     [](CLI::App& app, CommandLine& line) {
       app.add_flag("--json", line.json, "as JSON");
       app.add_flag(
           "--null-units", line.null_units,
           "measure instead how many null units the coordinator settles per second, with its journal in the current folder");
     },
     doctor_command},
};

/// A word in the place of a command that is none; the library would only say that a command is missing.
void refuse_unknown_command(std::string_view word) {
  std::vector<std::string> known;
  for (const Entry& entry : kCommands) known.emplace_back(entry.name);
  if (!word.starts_with('-') && std::find(known.begin(), known.end(), word) == known.end())
    throw InputError(fmt::format("there is no command '{}'{}", word, suggestion(word, known)));
}

int parse_and_run(int argc, char** argv) {
  if (argc > 1) refuse_unknown_command(argv[1]);
  CLI::App app("Measures what low-bit quantization costs and buys.", "quantbench");
  app.require_subcommand(1);
  CommandLine line;
  std::map<const CLI::App*, int (*)(CommandLine&)> commands;
  for (const Entry& entry : kCommands) {
    CLI::App* command = app.add_subcommand(entry.name, entry.summary);
    entry.declare(*command, line);
    commands[command] = entry.run;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitInput;
  }
  return commands.at(app.get_subcommands().front())(line);
}

}  // namespace

int quantbench_main(int argc, char** argv) {
  try {
    return parse_and_run(argc, argv);
  } catch (const InputError& error) {
    std::fprintf(stderr, "quantbench: %s\n", error.what());
    return kExitInput;
  } catch (const DataError& error) {
    std::fprintf(stderr, "quantbench: %s\n", error.what());
    return kExitData;
  } catch (const Unsupported& error) {
    std::fprintf(stderr, "quantbench: %s\n", error.what());
    return kExitInput;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "quantbench: there is not enough memory\n");
    return kExitInput;
  } catch (const std::filesystem::filesystem_error& error) {
    std::fprintf(stderr, "quantbench: %s\n", error.what());
    return kExitInput;
  }
}

}  // namespace qb
