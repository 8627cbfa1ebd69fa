#include "harness/api.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "kernels/base/clock.h"
#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {

namespace asio = boost::asio;
using asio::use_awaitable;

namespace {

/// What there is, and which method it takes. `{}` stands for one path segment.
struct Route {
  std::string_view method, path;
  bool open;  ///< without a token: holds no data of the run
};
constexpr Route kRoutes[] = {
    {"POST", "/v1/workers", false}, {"POST", "/v1/leases", false},  {"POST", "/v1/leases/{}/renew", false},
    {"POST", "/v1/results", false}, {"GET", "/v1/blobs/{}", false}, {"GET", "/v1/run", false},
    {"GET", "/metrics", false},     {"GET", "/healthz", true},      {"GET", "/", true},
};

/// The variable segment of `path` under the pattern, "" when there is none; nothing when it does not match.
std::optional<std::string> matched(std::string_view pattern, std::string_view path) {
  const std::size_t gap = pattern.find("{}");
  if (gap == std::string_view::npos) return pattern == path ? std::optional(std::string()) : std::nullopt;
  const std::string_view before = pattern.substr(0, gap), after = pattern.substr(gap + 2);
  if (path.size() <= before.size() + after.size() || !path.starts_with(before) || !path.ends_with(after))
    return std::nullopt;
  const std::string_view segment = path.substr(before.size(), path.size() - before.size() - after.size());
  return segment.find('/') == std::string_view::npos ? std::optional(std::string(segment)) : std::nullopt;
}

const Route* find_route(const HttpRequest& request) {
  for (const Route& route : kRoutes)
    if (route.method == request.method && matched(route.path, request.target)) return &route;
  return nullptr;
}

HttpResponse no_route(const HttpRequest& request) {
  for (const Route& route : kRoutes)
    if (matched(route.path, request.target)) {
      HttpResponse response =
          refusal(405, fmt::format("{} takes {}, not {}", request.target, route.method, request.method));
      response.headers.emplace_back("Allow", route.method);
      return response;
    }
  std::vector<std::string> known;
  for (const Route& route : kRoutes) known.emplace_back(route.path);
  return refusal(404, fmt::format("there is nothing at '{}'{}", request.target.substr(0, 200),
                                  suggestion(request.target.substr(0, 200), known)));
}

HttpResponse json_response(const Json& body) {
  HttpResponse response;
  response.body = canonical_text(body) + "\n";
  return response;
}

HttpResponse text_response(std::string body, std::string type) {
  HttpResponse response;
  response.body = std::move(body);
  response.type = std::move(type);
  return response;
}

Json body_of(const HttpRequest& request) { return parse_json(request.body, "the request", Blame::peer); }

}  // namespace

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  const std::string left = sha256_hex(a), right = sha256_hex(b);  // equal lengths, whatever was sent
  return CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

Api::Api(asio::io_context& context, Coordinator& coordinator, Blobs blobs, std::string token)
    : context_(context),
      coordinator_(coordinator),
      blobs_(std::move(blobs)),
      token_(std::move(token)),
      committed_(context, asio::steady_timer::time_point::max()) {
  QB_EXPECTS(token_.size() >= 16);
}

HttpHandlers Api::handlers() {
  return {[this](const HttpRequest& request) { return admit(request); },
          [this](HttpRequest request) { return answer(std::move(request)); }};
}

std::optional<HttpResponse> Api::admit(const HttpRequest& request) const {
  const Route* route = find_route(request);
  if (route && route->open) return std::nullopt;
  if (!equal_in_constant_time(request.token, token_)) {
    HttpResponse response = refusal(
        401, request.token.empty() ? "the request carries no bearer token; it is in the file 'token' of the run folder"
                                   : "the bearer token is not the one of this run");
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
  }
  return route ? std::nullopt : std::optional(no_route(request));
}

Api::Answer Api::answer(HttpRequest request) {
  HttpResponse response;
  try {
    response = co_await dispatch(request);
  } catch (const Refused& refused) {
    response = refusal(refused.status, refused.what());
  } catch (const DataError& error) {
    response = refusal(400, error.what());
  } catch (const InputError& error) {
    response = refusal(400, error.what());
  }
  co_return response;
}

Api::Answer Api::dispatch(const HttpRequest& request) {
  const std::string_view path = request.target;
  if (path == "/v1/leases") co_return co_await lease(request);
  if (path == "/v1/results") co_return co_await receive(request);
  if (path == "/v1/workers") co_return co_await add_worker(request);
  if (auto unit = matched("/v1/leases/{}/renew", path)) co_return co_await renew(request, *unit);
  if (auto digest = matched("/v1/blobs/{}", path)) co_return blob(request, *digest);
  if (path == "/v1/run") co_return json_response(run_status(coordinator_, now_ns()));
  if (path == "/metrics")
    co_return text_response(metrics_text(coordinator_, figures_(), now_ns()), "text/plain; version=0.0.4");
  if (path == "/healthz") co_return text_response("ok\n", "text/plain");
  HttpResponse page = text_response(live_page(), "text/html; charset=utf-8");
  page.headers.emplace_back(
      "Content-Security-Policy",
      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'");
  co_return page;
}

void Api::flush() {
  flush_posted_ = false;
  flushed_well_ = coordinator_.commit();
  ++commits_;
  committed_.cancel();
}

/// Waits until everything the coordinator did so far is on disk; false when the disk refuses.
asio::awaitable<bool> Api::durable() {
  if (!coordinator_.uncommitted()) co_return true;
  if (!flush_posted_) {
    flush_posted_ = true;
    asio::post(context_, [this] { flush(); });
  }
  const std::uint64_t before = commits_;
  while (commits_ == before) {
    boost::system::error_code woken;
    co_await committed_.async_wait(asio::redirect_error(use_awaitable, woken));
  }
  co_return flushed_well_;
}

Api::Answer Api::add_worker(const HttpRequest& request) {
  const Json body = body_of(request);
  const Registration registration = registration_from_json(body, "the registration", Blame::peer);
  const RegistrationAnswer answer = coordinator_.register_worker(registration, now_ns());
  const bool stored = co_await durable();
  if (!stored) coordinator_.require_storage();
  co_return json_response(to_json(answer));
}

Api::Answer Api::lease(const HttpRequest& request) {
  const Json body = body_of(request);
  const LeaseRequest wanted = lease_request_from_json(body, "the lease request", Blame::peer);
  const std::int64_t deadline_ns = now_ns() + std::int64_t(wanted.wait_s * 1e9);
  for (;;) {
    if (coordinator_.over()) co_return refusal(410, "the run is over");
    std::vector<Lease> leases = coordinator_.lease(wanted, now_ns());
    if (!leases.empty()) {
      const bool stored = co_await durable();
      if (!stored || request.gone()) {
        coordinator_.undelivered(wanted.worker, leases, now_ns());
        flush();
        coordinator_.require_storage();
        co_return refusal(503, "the request's sender had left");
      }
      HttpResponse response = text_response(lease_text_.of(leases) + "\n", "application/json");
      response.undelivered = [this, worker = wanted.worker, leases] {
        coordinator_.undelivered(worker, leases, now_ns());
        flush();
      };
      co_return response;
    }
    const std::int64_t left_ns = deadline_ns - now_ns();
    if (left_ns <= 0 || request.gone()) break;
    // Looks again now and then, also whether the peer is still there; not beyond the deadline.
    asio::steady_timer pause(context_, std::chrono::nanoseconds(std::min<std::int64_t>(left_ns, 250'000'000)));
    boost::system::error_code woken;
    co_await pause.async_wait(asio::redirect_error(use_awaitable, woken));
  }
  HttpResponse nothing;
  nothing.status = 204;
  co_return nothing;
}

Api::Answer Api::renew(const HttpRequest& request, std::string unit) {
  const Json body = body_of(request);
  const RenewRequest renewal = renew_request_from_json(body, "the renewal", Blame::peer);
  if (!coordinator_.renew(unit, renewal, now_ns()))
    co_return refusal(409, "the lease is no longer yours; stop working on the unit");
  co_return json_response(Json::object());
}

Api::Answer Api::receive(const HttpRequest& request) {
  Json body = body_of(request);
  Fields fields(body, "the results", Blame::peer);
  fields.text("worker");
  const std::size_t count = fields.array("results").size();
  fields.done();
  if (count > 1000) fields.fail("results", fmt::format("has {} elements; at most 1000 are accepted", count));
  const std::vector<ResultAnswer> answers = coordinator_.receive(std::move(body["results"]), now_ns());
  const bool stored = co_await durable();
  if (!stored) coordinator_.require_storage();
  co_return json_response(to_json(answers));
}

HttpResponse Api::blob(const HttpRequest& request, std::string_view digest) const {
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) return refusal(404, "no model or data file of this run has that SHA-256");
  const auto& [path, size] = found->second;
  HttpResponse response;
  response.type = "application/octet-stream";
  response.headers.emplace_back("Accept-Ranges", "bytes");
  std::error_code error;
  if (std::filesystem::file_size(path, error) != size || error)
    return refusal(410, fmt::format("file '{}' has changed since the run was planned", path.filename().string()));
  response.file = FilePart{path, 0, size};
  if (const auto range = parse_range(request.range, size)) {
    if (range->bytes == 0) {
      response = refusal(416, fmt::format("the range lies outside the file's {} bytes", size));
      response.headers.emplace_back("Content-Range", fmt::format("bytes */{}", size));
      return response;
    }
    response.status = 206;
    response.file = FilePart{path, range->offset, range->bytes};
    response.headers.emplace_back("Content-Range",
                                  fmt::format("bytes {}-{}/{}", range->offset, range->offset + range->bytes - 1, size));
  }
  return response;
}

}  // namespace qb
