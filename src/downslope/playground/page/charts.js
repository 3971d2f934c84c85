// Two charts on canvases, both log above and steps along: what has been is strong, what will be is faint.
function chart(canvas, lines, cursor, n) {
  const { context, width, height } = sharp(canvas);
  context.clearRect(0, 0, width, height);
  const side = 46, foot = 20, top = 8, right = 8;
  let low = Infinity, high = -Infinity;
  for (const line of lines) for (let i = 0; i < line.end; i++) {
    const v = line.values[i];
    if (v > 0 && v < Infinity) { low = Math.min(low, v); high = Math.max(high, v); }
  }
  if (!(low <= high)) return;
  let a = Math.floor(Math.log10(low) * 2) / 2, b = Math.ceil(Math.log10(high) * 2) / 2;
  a = Math.max(a, b - 12); // what lies below has long arrived
  if (b - a < 1) b = a + 1;
  const across = k => side + k / n * (width - side - right), up = v => top + (b - Math.max(a, Math.min(b, Math.log10(v)))) / (b - a) * (height - top - foot);
  context.font = "11px system-ui, sans-serif"; context.fillStyle = theme.faint; context.strokeStyle = theme.grid; context.lineWidth = 1;
  const every = Math.ceil((b - a) / 5);
  context.textAlign = "right"; context.textBaseline = "middle";
  for (let e = Math.ceil(a); e <= b; e += every) {
    const y = Math.round(up(10 ** e)) + 0.5;
    context.beginPath(); context.moveTo(side, y); context.lineTo(width - right, y); context.stroke();
    context.fillText(e >= -2 && e <= 3 ? String(Number((10 ** e).toPrecision(1))) : `1e${e}`.replace("-", "−"), side - 6, y);
  }
  context.textAlign = "center"; context.textBaseline = "alphabetic";
  for (const k of ticks(0, n, Math.max(2, width / 90))) if (across(k) < width - 8) context.fillText(String(k), across(k), height - 5);
  for (const line of lines) {
    const upTo = Math.min(line.end - 1, Math.floor(cursor));
    const part = (from, to) => {
      const path = new Path2D();
      let pen = false;
      for (let i = from; i <= to; i++) {
        const v = line.values[i];
        if (!(v >= 0 && v < Infinity)) { pen = false; continue; }
        path[pen ? "lineTo" : "moveTo"](across(i), up(Math.max(v, 1e-300)));
        pen = true;
      }
      return path;
    };
    context.strokeStyle = line.colour; context.setLineDash(line.dash || []);
    context.lineWidth = 1.25; context.globalAlpha = 0.28; context.stroke(part(Math.max(0, upTo), line.end - 1));
    context.lineWidth = line.strong ? 2.6 : 1.8; context.globalAlpha = 1; context.stroke(part(0, upTo));
    context.setLineDash([]);
  }
  context.strokeStyle = theme.faint; context.setLineDash([3, 3]); context.lineWidth = 1;
  context.beginPath(); context.moveTo(across(cursor), top); context.lineTo(across(cursor), height - foot); context.stroke();
  context.setLineDash([]);
  for (const line of lines) if (line.name) {
    const k = Math.min(line.end - 1, Math.round(cursor)), v = line.values[k];
    if (v > 0 && v < Infinity) { context.fillStyle = line.colour; context.font = "600 12px system-ui, sans-serif"; context.textAlign = across(k) > width - 40 ? "right" : "left"; context.fillText(line.name, across(k) + (across(k) > width - 40 ? -6 : 6), up(v) - 4); }
  }
}

const ends = run => (run.lost === null ? run.n + 1 : Math.max(1, run.lost));

function drawLoss(canvas, surface, runs, cursor, state) {
  const floor = lowest(surface) ?? Math.min(...runs.flatMap(run => Array.from(run.loss.subarray(0, ends(run))))) - 1e-3;
  const lines = runs.map(run => {
    run.above ??= run.loss.map(v => Math.max(v - floor, 1e-16));
    const { colour, dash } = OPTIMIZERS[run.key].style;
    return { values: run.above, end: ends(run), colour, dash: DASHES[dash], strong: state.focus === run.key };
  });
  chart(canvas, lines, cursor, state.steps);
}

// |change| / |gradient| for each coordinate: the rate that a coordinate really has.
function drawRates(canvas, run, cursor, state) {
  if (!run) { sharp(canvas).context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight); return; }
  const rate = (p, g) => p.map((v, i) => (i ? Math.abs(v - p[i - 1]) / Math.abs(g[i - 1]) : NaN));
  run.rates ??= [rate(run.x, run.gx), rate(run.y, run.gy)];
  const { colour } = OPTIMIZERS[run.key].style;
  chart(canvas, [
    { values: run.rates[0], end: ends(run), colour, name: "x", strong: true },
    { values: run.rates[1], end: ends(run), colour, dash: [5, 4], name: "y", strong: true },
  ], cursor, state.steps);
}
