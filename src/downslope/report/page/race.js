// The charts of one race, from RACE, which the page has as JSON.
"use strict";

const state = { curve: RACE.shown, clock: "steps", rates: "all", budget: "all" };
const series = (runner, more) => ({ name: runner.name, label: runner.label, colour: runner.colour, dash: runner.dash,
  marker: runner.marker, line: [], band: [], dots: [], ...more });

const curves = new Chart(document.getElementById("curves"), () => {
  const found = RACE.runners.map(runner => {
    const curve = runner.curves[state.curve];
    const turn = state.clock === "seconds" ? runner.seconds_per_step ?? 0 : 1;
    return series(runner, { line: curve.x.map((x, i) => [x * turn, curve.mean[i]]),
      band: curve.x.map((x, i) => [x * turn, curve.low[i], curve.high[i]]) });
  });
  const values = found.flatMap(s => s.line.map(p => p[1]));
  return { title: "Learning curves", series: found, unified: true, empty: "no run has finished",
    x: state.clock === "seconds" ? { label: "seconds of training", short: "second" } : { label: "steps", short: "step", whole: true },
    y: { label: RACE.curves[state.curve], log: state.curve !== "validation_metric" && values.length > 0 && values.every(v => v > 0) } };
});
choice(document.getElementById("curve-choice"), name => { state.curve = name; curves.zoom(null); });
choice(document.getElementById("clock-choice"), name => { state.clock = name; curves.zoom(null); });

const rates = new Chart(document.getElementById("rates"), () => {
  const found = RACE.runners.map(runner => series(runner, {
    line: runner.hill.x.map((x, i) => [x, runner.hill.mean[i]]),
    dots: [...runner.points.map(p => ({ x: p.lr, y: p.score, text: p.text })),
      ...(runner.best ? [{ x: runner.best.lr, y: runner.best.score, text: runner.best.text, ring: true }] : [])] }));
  return { title: "Score over the learning rate", series: found, empty: "no run has finished", marks: RACE.marks,
    x: { label: "learning rate", log: true }, y: { label: RACE.scored, log: RACE.log, ...(state.rates === "near" ? RACE.near : {}) },
    laneTitle: "within 1 % (bar), stability limit (|), diverged (×)",
    lanes: RACE.runners.map(r => ({ name: r.name, label: r.label, colour: r.colour, crosses: r.crosses, stretch: r.stretch, limit: r.limit })) };
});
choice(document.getElementById("rates-choice"), name => { state.rates = name; rates.zoom(null); });

const budget = new Chart(document.getElementById("budget"), () => ({ title: "Best after k trials", unified: true, empty: "no trial has finished",
  series: RACE.runners.map(r => series(r, { line: r.budget.x.map((x, i) => [x, r.budget.mean[i]]),
    band: state.budget === "near" ? [] : r.budget.x.map((x, i) => [x, r.budget.low[i], r.budget.high[i]]) })),
  segments: RACE.choices, segmentTitle: "choose, with k trials",
  x: { label: "trials in the search, k", short: "k =", whole: true, log: RACE.long },
  y: { label: RACE.expected, log: RACE.log, ...RACE.bounds, ...(state.budget === "near" ? RACE.near_budget : {}) } }));
choice(document.getElementById("budget-choice"), name => { state.budget = name; budget.zoom(null); });

legend(document.getElementById("legend"));
const pairs = document.getElementById("pairs-choice");
if (pairs) choice(pairs, name => { document.getElementById("pairs").classList.toggle("few", name === "few"); });
