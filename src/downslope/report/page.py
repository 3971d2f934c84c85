"""The fixed parts of report.html: skeleton, style, and the script that draws. html.py fills in the `[[...]]`."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title>[[title]]</title>
<style>[[style]]</style>
</head>
<body>
<main>
<p class="kind">downslope race</p>
<h1>[[title]]</h1>
<p class="verdict">[[verdict]]</p>
<table>
<thead><tr><th></th><th>optimizer</th><th>score</th><th>lr</th><th>tolerance, decades</th><th>diverged</th>
<th>seconds</th></tr></thead>
<tbody>
[[rows]]
</tbody>
</table>
<p class="method">[[method]]</p>
<nav id="legend" aria-label="optimizers shown">[[legend]]</nav>
<section>
<h2>Learning curves</h2>
<p class="note">At the chosen settings of each: the mean over the seeds, and the range of them.</p>
<p class="choice" id="choice">[[choice]]</p>
<div class="plot" id="curves"></div>
</section>
<section>
<h2>Score over the learning rate</h2>
<p class="note">The validation score after the last epoch, of the runs of the search that did not diverge. The large
marker is the learning rate chosen; each × below is a learning rate at which runs diverged.</p>
<div class="plot" id="rates"></div>
</section>
<details><summary>Settings</summary><dl>[[settings]]</dl></details>
</main>
<script>[[plotly]]</script>
<script>const RACE = [[data]];
[[script]]</script>
</body>
</html>
"""

STYLE = """
:root { --ground: #ffffff; --text: #1f2328; --faint: #59636e; --line: #d9dee3; --grid: #e8ebee; --raised: #f3f5f7; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171b; --text: #e6e9ec; --faint: #9aa4ae; --line: #343a41; --grid: #262b31; --raised: #1e2227; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 0; }
.kind { margin: 0; color: var(--faint); font-size: .85rem; }
.verdict { font-size: 1.15rem; margin: 0 0 1.5rem; max-width: 46rem; text-wrap: pretty; }
.method, .note { color: var(--faint); font-size: .85rem; max-width: 46rem; margin: .35rem 0 .75rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 500; font-size: .85rem; color: var(--faint); padding: .3rem .6rem; }
td { text-align: right; padding: .4rem .6rem; border-top: 1px solid var(--line); white-space: nowrap; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
td:first-child { color: var(--faint); width: 2rem; }
td svg, button svg { vertical-align: middle; margin-right: .5rem; }
td small { color: var(--faint); }
tbody tr:first-child td:nth-child(-n+3) { font-weight: 600; }
nav { position: sticky; top: 0; z-index: 2; background: var(--ground); display: flex; flex-wrap: wrap; gap: .35rem;
  margin-top: 2rem; padding: .5rem 0; border-bottom: 1px solid var(--line); }
button { font: inherit; font-size: .85rem; color: var(--text); background: var(--raised); border: 1px solid transparent;
  border-radius: 99px; padding: .2rem .7rem; min-height: 2rem; cursor: pointer; }
button:focus-visible { outline: 2px solid #0072B2; outline-offset: 1px; }
nav button[aria-pressed=false] { opacity: .45; text-decoration: line-through; }
.choice { display: flex; flex-wrap: wrap; gap: .35rem; margin: 0; }
.choice button[aria-pressed=true] { border-color: var(--faint); font-weight: 600; }
.plot { width: 100%; height: 430px; }
#rates { height: 520px; }
details { margin-top: 2rem; font-size: .9rem; }
summary { cursor: pointer; color: var(--faint); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .75rem 0; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 640px) {
  main { padding: 1rem .75rem 3rem; }
  .verdict { font-size: 1.05rem; }
  thead { display: none; }
  table, tbody { display: block; }
  tr { display: grid; grid-template-columns: 1.9rem 1fr auto; padding: .5rem 0; border-top: 1px solid var(--line); }
  td { border: 0; padding: 0; }
  td:nth-child(n+4) { grid-column: 2 / 4; text-align: left; font-size: .85rem; color: var(--faint); }
  td:nth-child(n+4)::before { content: attr(data-name) " "; }
  td:nth-child(4) { grid-column: 2 / 3; } td:nth-child(5) { grid-column: 3 / 4; text-align: right; }
  td:nth-child(6) { grid-column: 2 / 3; } td:nth-child(7) { grid-column: 3 / 4; text-align: right; }
  nav { gap: .25rem; } nav button { padding: .05rem .5rem; min-height: 1.8rem; } button svg { margin-right: .3rem; }
  .plot { height: 360px; } #rates { height: 440px; }
}
"""

SCRIPT = """
const dark = matchMedia("(prefers-color-scheme: dark)");
const phone = matchMedia("(max-width: 640px)");
const hidden = new Set();
let shown = RACE.shown;
const ink = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const glass = (colour, alpha) => colour + Math.round(255 * alpha).toString(16).padStart(2, "0");

function axis(title, more) {
  return Object.assign({ title: { text: title, font: { size: 13 } }, gridcolor: ink("grid"), zeroline: false,
    linecolor: ink("line"), automargin: true, fixedrange: phone.matches, exponentformat: "power" }, more);
}
function layout(x, y, more) {
  return Object.assign({ paper_bgcolor: ink("ground"), plot_bgcolor: ink("ground"), showlegend: false,
    font: { color: ink("faint"), family: "system-ui, sans-serif", size: 12 }, hovermode: "closest",
    margin: { l: 8, r: 12, t: 12, b: 8 }, xaxis: x, yaxis: y }, more);
}
function band(runner, line) {
  return { x: line.x.concat([...line.x].reverse()), y: line.high.concat([...line.low].reverse()), type: "scatter",
    mode: "lines", fill: "toself", fillcolor: glass(runner.colour, dark.matches ? .2 : .14), line: { width: 0 },
    hoverinfo: "skip", visible: !hidden.has(runner.name) };
}
function curve(runner, line, mode, text) {
  return { x: line.x, y: line.mean, type: "scatter", mode, name: runner.name, visible: !hidden.has(runner.name),
    line: { color: runner.colour, dash: runner.dash, width: 2 },
    marker: { color: runner.colour, symbol: runner.marker, size: 5 },
    hovertemplate: "<b>" + runner.name + "</b> " + text + "<extra></extra>" };
}
function decades(traces) {
  const values = traces.flatMap(trace => trace.y).filter(value => value > 0);
  return Math.log10(Math.max(...values) / Math.min(...values));
}
function draw() {
  const options = { responsive: true, displaylogo: false, displayModeBar: false };
  const loss = shown !== "validation_metric";
  const curves = [];
  for (const runner of RACE.runners) {
    const line = runner.curves[shown];
    curves.push(band(runner, line), curve(runner, line, "lines", "epoch %{x}: %{y:.3g}"));
  }
  Plotly.react("curves", curves, layout(axis("epoch"), axis(RACE.names[shown],
    loss ? { type: "log", dtick: decades(curves) > 1.5 ? 1 : "D2" } : {})), options);

  const rates = [], rows = RACE.runners.length;
  for (const runner of RACE.runners) {
    rates.push(band(runner, runner.rates),
      curve(runner, runner.rates, "lines+markers", "at learning rate %{x:.2g}: %{y:.4g}"));
    rates.push({ x: runner.best.x, y: runner.best.y, type: "scatter", mode: "markers", hoverinfo: "skip",
      visible: !hidden.has(runner.name), marker: { symbol: runner.marker, size: 12, color: ink("ground"),
      line: { color: runner.colour, width: 3 } } });
    rates.push({ x: runner.diverged.x, y: runner.diverged.x.map(() => runner.row), yaxis: "y2", type: "scatter",
      mode: "markers", visible: !hidden.has(runner.name), text: runner.diverged.text,
      marker: { symbol: "x-thin", opacity: 1, size: runner.diverged.share.map(s => 5 + 4 * s),
        line: { color: runner.colour, width: 2 } },
      hovertemplate: "<b>" + runner.name + "</b> at learning rate %{x:.2g}: %{text}<extra></extra>" });
  }
  Plotly.react("rates", rates, layout(
    axis("learning rate", { type: "log", anchor: "y2", dtick: phone.matches ? 2 : 1, tickangle: 0 }),
    axis("validation score", { domain: [.28, 1] }),
    { yaxis2: axis("diverged", { domain: [0, .23], range: [rows - .5, -.5], showticklabels: false, showgrid: false,
      fixedrange: true }), shapes: [{ type: "rect", xref: "paper", yref: "paper", x0: 0, x1: 1, y0: 0, y1: .23,
      fillcolor: ink("raised"), line: { width: 0 }, layer: "below" }] }), options);
}
document.getElementById("legend").addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  const name = button.dataset.name;
  hidden.has(name) ? hidden.delete(name) : hidden.add(name);
  button.setAttribute("aria-pressed", String(!hidden.has(name)));
  draw();
});
document.getElementById("choice").addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  shown = button.dataset.name;
  for (const other of event.currentTarget.children) other.setAttribute("aria-pressed", String(other === button));
  draw();
});
dark.addEventListener("change", draw);
phone.addEventListener("change", draw);
draw();
"""
