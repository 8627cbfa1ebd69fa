#include "harness/dashboard.h"

namespace qb {

const std::string& live_page() {
  static const std::string page = R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>quantbench</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #222; background: #fff; }
  h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
  table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }
  progress { width: 100%; height: 1.2rem; } td.number, th.number { text-align: right; } td.bad { color: #a00; } input { font: inherit; max-width: 100%; } .fault { color: #a00; font-weight: 600; } .quiet { color: #666; }
  @media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818; } td, th { border-color: #444; } .quiet { color: #999; } .fault, td.bad { color: #f77; } }
</style>
</head>
<body>
<h1 id="title">quantbench</h1>
<form id="login">
  <p>This page shows a run to those who have its token: the one line of the file <code>token</code> in the run folder.</p>
  <p><label>Token <input id="token" type="password" autocomplete="off" size="64" autofocus></label> <button>Show</button></p>
  <p id="refused" class="fault" role="alert"></p>
</form>
<div id="run" hidden>
  <progress id="bar" max="1" value="0" aria-label="settled units"></progress>
  <p id="line" role="status"></p>
  <p id="fault" class="fault"></p>
  <h2>Workers</h2>
  <table><thead><tr><th>worker</th><th>model</th><th>quantizer</th><th>hardware</th><th>kernel</th><th class="number">batch</th><th class="number">threads</th><th>phase</th><th class="number">settled</th><th class="number">heard of</th></tr></thead><tbody id="workers"></tbody></table>
  <p id="nobody" class="quiet">No worker has been heard of yet.</p>
  <h2>Last results</h2>
  <table><thead><tr><th>time, UTC</th><th>model</th><th>quantizer</th><th>hardware</th><th>kernel</th><th class="number">batch</th><th class="number">threads</th><th>outcome</th></tr></thead><tbody id="recent"></tbody></table>
  <p id="nothing" class="quiet">Nothing is settled yet.</p>
</div>
<script>
  "use strict";
  const at = id => document.getElementById(id);
  let token = decodeURIComponent(location.hash.slice(1)) || sessionStorage.getItem("token") || "";
  history.replaceState(null, "", location.pathname);
  const unit = u => u ? [u.model, u.quantizer, u.hardware, u.kernel, u.batch, u.threads] : Array(6).fill("");
  const span = s => s === null ? "unknown" : s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
  function rows(body, lines) {
    body.replaceChildren(...lines.map(cells => {
      const row = document.createElement("tr");
      for (const value of cells) {
        const cell = row.appendChild(document.createElement("td"));
        cell.textContent = value;
        if (typeof value === "number" || /^\d+ s ago$/.test(value)) cell.className = "number";
        if (/^(failed|timed_out|mistrusted)/.test(value)) cell.className = "bad";
      }
      return row;
    }));
  }
  function show(run) {
    at("title").textContent = `${run.study} · run ${run.run_id}`;
    document.title = `${run.settled}/${run.units} ${run.study}`;
    at("bar").max = run.units; at("bar").value = run.settled;
    const outcomes = Object.entries(run.outcomes).filter(([, n]) => n > 0).map(([name, n]) => `${n} ${name}`).join(", ");
    at("line").textContent = `${run.settled} of ${run.units} settled${outcomes ? ` (${outcomes})` : ""}, ${run.leased} running, ${run.waiting} waiting; ` +
      (run.over ? "the run is over" : `running for ${span(run.elapsed_s)}, ${span(run.remaining_s)} remaining`);
    at("fault").textContent = [run.storage_fault, run.nobody_accepts].filter(x => x).join("; ");
    rows(at("workers"), run.workers.map(w => [w.name, ...unit(w.unit), w.phase, w.settled, `${Math.round(w.silent_s)} s ago`]));
    rows(at("recent"), run.recent.map(r => [r.utc.slice(11, 19), ...unit(r.unit), r.reason ? `${r.outcome}: ${r.reason}` : r.outcome]));
    at("nobody").hidden = run.workers.length > 0;
    at("nothing").hidden = run.recent.length > 0;
  }
  async function refresh() {
    if (!token) return;
    try {
      const answer = await fetch("/v1/run", { headers: { Authorization: `Bearer ${token}` } });
      if (answer.status === 401) {
        token = "";
        sessionStorage.removeItem("token");
        at("login").hidden = false; at("run").hidden = true;
        at("refused").textContent = "That is not the token of this run; each start of a run may make a new one.";
        return;
      }
      sessionStorage.setItem("token", token);
      at("login").hidden = true; at("run").hidden = false;
      show(await answer.json());
    } catch (error) { at("fault").textContent = "The coordinator does not answer; it may have ended."; }
  }
  at("login").addEventListener("submit", event => { event.preventDefault(); token = at("token").value.trim(); at("token").value = ""; at("refused").textContent = ""; refresh(); });
  refresh();
  setInterval(refresh, 2000);
</script>
</body>
</html>
)html";
  return page;
}

}  // namespace qb
