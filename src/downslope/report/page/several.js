// The charts of several races together, from RACES, which the page has as JSON.
"use strict";

let clock = "steps";
const profiles = new Chart(document.getElementById("profiles"), () => ({
  title: "Performance profiles", unified: true, stairs: true, empty: "no target to time", x: { label: "at most so many times the fastest's time, τ", short: "τ =" },
  y: { label: "share of tasks", domain: [-0.02, 1.03] },
  series: RACES.runners.map(r => ({ ...r, dots: [], band: RACES.taus.map((tau, i) => [tau, r.bands[clock].low[i], r.bands[clock].high[i]]), line: r.profiles[clock].map((v, i) => [RACES.taus[i], v]) })),
}));
choice(document.getElementById("clock-choice"), name => {
  clock = name;
  for (const each of document.querySelectorAll("[data-clock]")) each.hidden = each.dataset.clock !== name;
  profiles.zoom(null);
});
legend(document.getElementById("legend"));
