// The coordinator's HTTP interface (design, section 6): requests in, answers out once they are on disk.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "harness/blobs.h"
#include "harness/coordinator.h"
#include "harness/dashboard.h"
#include "harness/http_server.h"
#include "harness/unit_text.h"

namespace qb {

/// True when both are equal; takes the same time wherever they differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

/// Lives on the io_context's thread, as the coordinator does. Requests that arrive while a commit is under way or about
/// to start share the next one.
class Api {
 public:
  using Blobs = std::map<std::string, Blob, std::less<>>;

  Api(boost::asio::io_context& context, Coordinator& coordinator, Blobs blobs, std::string token);

  HttpHandlers handlers();
  void set_figures(std::function<HttpFigures()> figures) { figures_ = std::move(figures); }

  /// Commits what the coordinator did for another reason than a request, or could not write earlier.
  void flush();

 private:
  using Answer = boost::asio::awaitable<HttpResponse>;
  std::optional<HttpResponse> admit(const HttpRequest& request) const;
  Answer answer(HttpRequest request);
  Answer dispatch(const HttpRequest& request);
  Answer add_worker(const HttpRequest& request);
  Answer lease(const HttpRequest& request);
  Answer renew(const HttpRequest& request, std::string unit);
  Answer receive(const HttpRequest& request);
  HttpResponse blob(const HttpRequest& request, std::string_view digest) const;
  boost::asio::awaitable<bool> durable();

  boost::asio::io_context& context_;
  Coordinator& coordinator_;
  Blobs blobs_;
  std::string token_;
  LeaseText lease_text_;
  std::function<HttpFigures()> figures_ = [] { return HttpFigures{}; };
  boost::asio::steady_timer committed_;  ///< never expires; cancelled to wake those who wait
  std::uint64_t commits_ = 0;
  bool flush_posted_ = false, flushed_well_ = true;
};

}  // namespace qb
