// The event loop of one run: server, local workers, signals, progress and the end.
#pragma once
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "harness/api.h"
#include "harness/launch_local.h"
#include "harness/progress.h"

namespace boost::asio::ssl {
class context;
}

namespace qb {

enum class RunEnd {
  settled,      ///< every unit has its record on disk
  unaccepted,   ///< what is left is accepted by no worker
  interrupted,  ///< by a signal
};

struct LoopOptions {
  std::string bind = "127.0.0.1";
  std::uint16_t port = 0;
  std::string token;
  bool stop_when_unaccepted = true;
  double unaccepted_patience_s = 15;
  PeerLimits limits;
};

/// Everything runs on the thread that calls run().
class RunLoop {
 public:
  /// Listens at once. Throws InputError, see HttpServer.
  RunLoop(Coordinator& coordinator, Api::Blobs blobs, const LoopOptions& options, boost::asio::ssl::context* tls);

  std::uint16_t port() const { return server_.port(); }
  void launch(LocalLaunch launch);  ///< local workers, before run()

  /// Returns when the run has ended and local workers are gone. Throws InputError when all local workers ended and none
  /// can be started again, or the journal could not be written to the end.
  RunEnd run();

 private:
  void step();
  std::optional<RunEnd> decide(std::int64_t now_ns);
  void on_signal();
  void wait_for_step();
  void stop_workers();

  Coordinator& coordinator_;
  LoopOptions options_;
  boost::asio::io_context context_{1};
  Api api_;
  HttpServer server_;
  boost::asio::signal_set signals_;
  boost::asio::steady_timer timer_;
  std::unique_ptr<LocalWorkers> local_;
  ProgressDisplay display_;
  std::optional<RunEnd> end_;
  std::exception_ptr failure_;
  int interrupts_ = 0;
  std::int64_t unaccepted_since_ns_ = -1;
  std::string storage_fault_said_;
};

}  // namespace qb
