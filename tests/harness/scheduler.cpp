#include "harness/scheduler.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <set>

#include "kernels/base/random.h"

namespace qb {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
using Unit = Scheduler::Unit;
using Worker = Scheduler::Worker;

Scheduler scheduler_of(std::size_t units) { return Scheduler(std::vector<std::uint16_t>(units, 0), 1); }

TEST_CASE("units are leased in plan order, once each, until none waits") {
  Scheduler scheduler = scheduler_of(3);
  scheduler.join(0, {true}, 0);
  scheduler.join(1, {true}, 0);
  const auto first = scheduler.lease(0, 2, 0), second = scheduler.lease(1, 5, 0);
  REQUIRE(first.size() == 2);
  REQUIRE(second.size() == 1);
  CHECK(first[0].unit == 0);
  CHECK(first[1].unit == 1);
  CHECK(second[0].unit == 2);
  CHECK(first[0].epoch < first[1].epoch);
  CHECK(first[1].epoch < second[0].epoch);
  CHECK(scheduler.lease(1, 1, 0).empty());
  CHECK(scheduler.leased() == 3);
}

TEST_CASE("a lease lives while it is renewed and not a moment longer") {
  Scheduler scheduler = scheduler_of(1);
  scheduler.join(0, {true}, 0);
  scheduler.join(1, {true}, 0);
  const auto grant = scheduler.lease(0, 1, 0).at(0);
  CHECK(scheduler.renew(0, 0, grant.epoch, 100 * kSecond));
  CHECK_FALSE(scheduler.renew(1, 0, grant.epoch, 100 * kSecond));
  CHECK(scheduler.expire(219 * kSecond).empty());
  const auto ended = scheduler.expire(220 * kSecond);
  REQUIRE(ended.size() == 1);
  CHECK(ended[0].end == AttemptEnd::died);
  CHECK_FALSE(ended[0].given_up);
  CHECK_FALSE(scheduler.renew(0, 0, grant.epoch, 221 * kSecond));
}

TEST_CASE("only the live epoch commits; repeats are known; late and different results change nothing") {
  Scheduler scheduler = scheduler_of(1);
  scheduler.join(0, {true}, 0);
  scheduler.join(1, {true}, 0);
  const auto old = scheduler.lease(0, 1, 0).at(0);
  scheduler.expire(200 * kSecond);
  const auto live = scheduler.lease(1, 1, 200 * kSecond).at(0);
  CHECK(scheduler.result(0, old.epoch, false, 11, 201 * kSecond) == ResultDecision::shadow);
  CHECK(scheduler.result(0, old.epoch, false, 11, 201 * kSecond) == ResultDecision::repeated);
  CHECK_FALSE(scheduler.is_settled(0));
  CHECK(scheduler.result(0, live.epoch, false, 22, 202 * kSecond) == ResultDecision::settled);
  CHECK(scheduler.result(0, live.epoch, false, 22, 203 * kSecond) == ResultDecision::repeated);
  CHECK(scheduler.result(0, live.epoch, false, 33, 203 * kSecond) == ResultDecision::shadow);
  CHECK(scheduler.result(0, 999, false, 22, 203 * kSecond) == ResultDecision::invalid);
  CHECK(scheduler.all_settled());
}

TEST_CASE("one lease accepts a bounded number of different results") {
  Scheduler scheduler = scheduler_of(1);
  scheduler.join(0, {true}, 0);
  const auto grant = scheduler.lease(0, 1, 0).at(0);
  int kept = 0;
  for (std::uint64_t digest = 1; digest <= 100; ++digest)
    kept += scheduler.result(0, grant.epoch, false, digest, 0) != ResultDecision::invalid;
  CHECK(kept == SchedulerLimits{}.results_per_lease);
}

TEST_CASE("three errors or three deaths give a unit up, and it goes elsewhere in between") {
  Scheduler scheduler = scheduler_of(2);
  scheduler.join(0, {true}, 0);
  scheduler.join(1, {true}, 0);
  const auto a = scheduler.lease(0, 1, 0).at(0);
  CHECK(scheduler.result(a.unit, a.epoch, true, 1, 0) == ResultDecision::retried);
  CHECK(scheduler.lease(0, 1, 0).at(0).unit == 1);  // not the unit it just failed
  CHECK(scheduler.lease(0, 1, 0).empty());          // while another worker lives
  const auto b = scheduler.lease(1, 1, 0).at(0);
  CHECK(b.unit == a.unit);
  CHECK(scheduler.result(b.unit, b.epoch, true, 2, 0) == ResultDecision::retried);
  scheduler.lost(1, 0);
  const auto c = scheduler.lease(0, 1, 0).at(0);
  CHECK(scheduler.result(c.unit, c.epoch, true, 3, 0) == ResultDecision::quarantined);
  CHECK(scheduler.is_settled(a.unit));

  for (int death = 1; death <= 3; ++death) {  // unit 1, leased to worker 0 since above
    const auto ended = scheduler.lost(0, 0);
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].given_up == (death == 3));
    scheduler.join(0, {true}, 0);
    CHECK(scheduler.lease(0, 1, 0).size() == (death < 3 ? 1u : 0u));
  }
  CHECK(scheduler.all_settled());
}

TEST_CASE("a unit waits for a worker that it accepts, and that is said") {
  Scheduler scheduler(std::vector<std::uint16_t>{1, 0}, 2);
  scheduler.join(0, {true, false}, 0);
  CHECK(scheduler.lease(0, 2, 0).size() == 1);
  CHECK(scheduler.waiting_of_kind(1) == 1);
  CHECK_FALSE(scheduler.somebody_accepts(1, 0));
  scheduler.join(1, {false, true}, 0);
  CHECK(scheduler.somebody_accepts(1, 0));
  CHECK(scheduler.lease(1, 2, 0).at(0).unit == 0);
}

TEST_CASE("a lease that was never delivered is taken back without blame") {
  Scheduler scheduler = scheduler_of(1);
  scheduler.join(0, {true}, 0);
  for (int i = 0; i < 5; ++i) {
    const auto ended = scheduler.take_back(scheduler.lease(0, 1, 0).at(0), 0);
    REQUIRE(ended);
    CHECK_FALSE(ended->given_up);
  }
  const auto last = scheduler.lease(0, 1, 0).at(0);
  CHECK(scheduler.take_back(last, 0)->given_up);  // the sixth start was the last allowed
}

TEST_CASE("work done under an abandoned lease is not done again, unless somebody was first") {
  Scheduler scheduler = scheduler_of(3);
  scheduler.join(0, {true}, 0);
  const auto a = scheduler.lease(0, 3, 0);
  scheduler.take_back(0, 0);  // its coordinator ended
  CHECK(scheduler.result(0, a[0].epoch, false, 1, 0) == ResultDecision::settled);
  CHECK(scheduler.result(0, a[0].epoch, false, 1, 0) == ResultDecision::repeated);
  CHECK(scheduler.result(1, a[1].epoch, true, 2, 0) ==
        ResultDecision::shadow);  // an error settles nothing after the fact

  scheduler.join(1, {true}, 0);
  const auto b = scheduler.lease(1, 2, 0);
  REQUIRE(b.size() == 2);
  CHECK(scheduler.lease(1, 1, 0).empty());  // unit 0 does not wait any more
  const auto of_unit = [&](Unit unit) { return b[0].unit == unit ? b[0] : b[1]; };
  CHECK(scheduler.live_epoch(2) == of_unit(2).epoch);
  CHECK(scheduler.result(2, a[2].epoch, false, 3, 0) == ResultDecision::settled);  // although worker 1 measures it now
  CHECK_FALSE(scheduler.live_epoch(2));
  CHECK_FALSE(scheduler.renew(1, 2, of_unit(2).epoch, 0));
  CHECK(scheduler.result(2, of_unit(2).epoch, false, 4, 0) == ResultDecision::shadow);
  CHECK(scheduler.result(1, of_unit(1).epoch, false, 5, 0) == ResultDecision::settled);
  CHECK(scheduler.result(1, a[1].epoch, false, 6, 0) == ResultDecision::shadow);  // somebody was first
  CHECK(scheduler.all_settled());
  CHECK(scheduler.leased() == 0);
}

/// Workers, a network that loses, repeats, delays and reorders, and a coordinator that dies and comes back with what
/// its journal holds. Steps are simulated seconds; the last part of each history is calm, so that it must end.
class History {
 public:
  explicit History(std::uint64_t seed)
      : random_(seed), kinds_(1 + random_.below(3)), scheduler_(make()), workers_(2 + random_.below(6)) {
    for (Worker w = 0; w < workers_.size(); ++w) workers_[w].accepts = accepts_of(w);
  }

  void play() {
    const std::int64_t storm = 200 + std::int64_t(random_.below(3000));
    for (now_ = 0; !scheduler_.all_settled(); ++now_) {
      calm_ = now_ > storm;
      REQUIRE(now_ < storm + 40'000);
      if (!calm_) disturb();
      for (Worker w = 0; w < workers_.size(); ++w) act(w);
      deliver();
      for (const auto& ended : scheduler_.expire(coordinator_time())) journal_end(ended);
      check();
    }
    for (const auto& [unit, digest] : acknowledged_) CHECK(record_.at(unit) == digest);
    CHECK(record_.size() == kUnits);
  }

 private:
  static constexpr std::size_t kUnits = 12;
  struct Message {
    std::int64_t at;
    enum class Kind { lease, renew, result, granted, refused, renewed, acknowledged } kind;
    Worker worker;
    int life;  ///< of the worker that is meant: a restarted process does not get its predecessor's mail
    Unit unit;
    std::int64_t epoch;
    bool error;
    std::uint64_t digest;
  };
  struct WorkerProcess {
    std::vector<bool> accepts;
    int life = 0;
    bool busy = false, done = false;
    Unit unit = 0;
    std::int64_t epoch = 0, heard = 0, ends = 0, asked = -100;
    bool error = false;
    std::uint64_t digest = 0;
  };

  Scheduler make() {
    std::vector<std::uint16_t> kind(kUnits);
    for (std::size_t u = 0; u < kUnits; ++u) kind[u] = std::uint16_t(u % kinds_);
    return Scheduler(kind, kinds_);
  }
  std::vector<bool> accepts_of(Worker w) {
    std::vector<bool> accepts(kinds_, w == 0);  // worker 0 takes everything, so that every history can end
    for (std::size_t kind = 0; kind < kinds_; ++kind) accepts[kind] = accepts[kind] || random_.below(2);
    return accepts;
  }
  std::int64_t coordinator_time() const { return (now_ + jump_) * kSecond; }

  void disturb() {
    if (random_.below(200) == 0) die(Worker(random_.below(workers_.size())));
    if (random_.below(400) == 0) restart();
    if (random_.below(500) == 0) jump_ += std::int64_t(random_.below(400)) - 200;
  }
  void die(Worker w) {
    if (random_.below(2)) {  // somebody saw it end
      for (const auto& ended : scheduler_.lost(w, coordinator_time())) journal_end(ended);
      joined_.erase(w);
    }
    workers_[w].busy = workers_[w].done = false;
    ++workers_[w].life;
  }
  void restart() {
    scheduler_ = make();
    for (const auto& [epoch, row] : attempts_) scheduler_.restore_attempt(row.first, row.second);
    for (const auto& [unit, digest] : record_) scheduler_.restore_settled(unit);
    scheduler_.restored(coordinator_time());
    joined_.clear();
    if (random_.below(2) == 0) return;
    for (Worker w = 0; w < workers_.size(); ++w)  // leases do not outlive this coordinator, but finished work may
      for (const auto& ended : scheduler_.take_back(w, coordinator_time())) journal_end(ended);
  }
  void journal_end(const Scheduler::Ended& ended) {
    attempts_.at(ended.epoch).second.end = ended.end;
    if (ended.given_up) settle(ended.unit, ~std::uint64_t(ended.unit));
  }
  void settle(Unit unit, std::uint64_t digest) { REQUIRE(record_.emplace(unit, digest).second); }

  void send(Message message) {
    if (!calm_ && random_.below(8) == 0) return;
    for (int copies = !calm_ && random_.below(8) == 0 ? 2 : 1; copies > 0; --copies) {
      message.at = now_ + (calm_                    ? 0
                           : random_.below(20) == 0 ? std::int64_t(random_.below(400))
                                                    : std::int64_t(random_.below(4)));
      mail_.push_back(message);
    }
  }
  void act(Worker w) {
    WorkerProcess& p = workers_[w];
    if (p.busy && now_ - p.heard > 100) p.busy = p.done = false;  // silence: the child is ended
    if (p.busy && now_ >= p.ends) p.done = true;
    if (now_ - p.asked < 10) return;
    p.asked = now_;
    const auto kind = !p.busy ? Message::Kind::lease : p.done ? Message::Kind::result : Message::Kind::renew;
    send({0, kind, w, p.life, p.unit, p.epoch, p.error, p.digest});
  }
  void deliver() {
    std::vector<Message> due;
    std::erase_if(mail_, [&](const Message& m) { return m.at <= now_ && (due.push_back(m), true); });
    shuffle(std::span(due), random_);
    for (const Message& m : due) m.kind <= Message::Kind::result ? at_coordinator(m) : at_worker(m);
  }
  void at_coordinator(const Message& m) {
    if (!joined_.contains(m.worker)) {
      scheduler_.join(m.worker, workers_[m.worker].accepts, coordinator_time());
      joined_.insert(m.worker);
    }
    Message answer = m;
    if (m.kind == Message::Kind::lease) {
      for (const auto& grant : scheduler_.lease(m.worker, 1, coordinator_time())) {
        REQUIRE(attempts_
                    .emplace(grant.epoch,
                             std::pair(grant.unit, Scheduler::Attempt{grant.epoch, m.worker, AttemptEnd::live, {}}))
                    .second);
        answer.kind = Message::Kind::granted, answer.unit = grant.unit, answer.epoch = grant.epoch;
        send(answer);
      }
    } else if (m.kind == Message::Kind::renew) {
      const bool yours = scheduler_.renew(m.worker, m.unit, m.epoch, coordinator_time());
      answer.kind = yours ? Message::Kind::renewed : Message::Kind::refused;
      send(answer);
    } else {
      receive_result(m);
      answer.kind = Message::Kind::acknowledged;
      send(answer);
    }
  }
  void receive_result(const Message& m) {
    const std::optional<std::int64_t> live = scheduler_.live_epoch(m.unit);
    const ResultDecision decision = scheduler_.result(m.unit, m.epoch, m.error, m.digest, coordinator_time());
    REQUIRE(decision != ResultDecision::invalid);
    Scheduler::Attempt& row = attempts_.at(m.epoch).second;
    if (decision == ResultDecision::repeated) return;
    row.results.push_back(m.digest);
    if (decision == ResultDecision::shadow) return;
    REQUIRE((live == m.epoch || row.end == AttemptEnd::abandoned));  // no stale epoch changes the record
    if (live && live != m.epoch) attempts_.at(*live).second.end = AttemptEnd::abandoned;
    row.end = m.error ? AttemptEnd::error : AttemptEnd::committed;
    if (decision == ResultDecision::retried) return;
    settle(m.unit, m.digest);
    acknowledged_.emplace_back(m.unit, m.digest);
  }
  void at_worker(const Message& m) {
    WorkerProcess& p = workers_[m.worker];
    if (p.life != m.life) return;
    if (m.kind == Message::Kind::granted && !p.busy) {
      p.busy = true, p.done = false, p.unit = m.unit, p.epoch = m.epoch, p.heard = now_;
      p.ends = now_ + 1 + std::int64_t(random_.below(60));
      p.error = random_.below(6) == 0;
      p.digest = random_();
    }
    if (!p.busy || p.unit != m.unit || p.epoch != m.epoch) return;
    if (m.kind == Message::Kind::renewed) p.heard = now_;
    if (m.kind == Message::Kind::refused || m.kind == Message::Kind::acknowledged) p.busy = p.done = false;
  }
  void check() const {
    std::size_t live = 0;
    for (Unit u = 0; u < kUnits; ++u) {
      REQUIRE(scheduler_.starts(u) <= SchedulerLimits{}.starts);
      REQUIRE(scheduler_.is_settled(u) == record_.contains(u));
      std::size_t mine = 0;
      for (const auto& attempt : scheduler_.attempts(u)) {
        mine += attempt.end == AttemptEnd::live;
        REQUIRE(int(attempt.results.size()) <= SchedulerLimits{}.results_per_lease);
      }
      REQUIRE(mine <= 1);
      live += mine;
    }
    REQUIRE(live == scheduler_.leased());
  }

  Random random_;
  std::size_t kinds_;
  Scheduler scheduler_;
  std::vector<WorkerProcess> workers_;
  std::vector<Message> mail_;
  std::map<std::int64_t, std::pair<Unit, Scheduler::Attempt>> attempts_;  ///< the journal
  std::map<Unit, std::uint64_t> record_;                                  ///< the journal
  std::vector<std::pair<Unit, std::uint64_t>> acknowledged_;
  std::set<Worker> joined_;
  std::int64_t now_ = 0, jump_ = 0;
  bool calm_ = false;
};

TEST_CASE("every unit is settled once, whatever is lost, repeated, late or killed") {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    CAPTURE(seed);
    History(seed).play();
  }
}

TEST_CASE("draining ends: nothing is granted, and what runs settles or expires") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Scheduler scheduler = scheduler_of(8);
    std::vector<Scheduler::Grant> running;
    for (Worker w = 0; w < 5; ++w) {
      scheduler.join(w, {true}, 0);
      running.push_back(scheduler.lease(w, 1, 0).at(0));
    }
    scheduler.drain();
    for (std::int64_t now = 0; scheduler.leased() > 0; ++now) {
      REQUIRE(now <= 130);
      CHECK(scheduler.lease(Worker(random.below(5)), 1, now * kSecond).empty());
      const auto& grant = running[random.below(running.size())];
      if (random.below(10) == 0) scheduler.result(grant.unit, grant.epoch, false, grant.unit, now * kSecond);
      scheduler.expire(now * kSecond);
    }
    CHECK(scheduler.settled() + scheduler.waiting() == 8);
  }
}

}  // namespace
}  // namespace qb
