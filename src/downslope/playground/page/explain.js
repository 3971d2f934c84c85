// One line on what is known to be going on in a run at a step; each test is a row, the first that holds speaks.
function facts(surface, run, k) {
  const d = size(surface), from = Math.max(0, k - 12), move = i => Math.hypot(run.x[i] - run.x[i - 1], run.y[i] - run.y[i - 1]);
  const slope = Math.hypot(run.gx[k], run.gy[k]);
  let steepest = 0, largest = 0;
  for (let i = 0; i <= k; i++) steepest = Math.max(steepest, Math.hypot(run.gx[i], run.gy[i]));
  for (let i = 1; i <= Math.min(k, 10); i++) largest = Math.max(largest, move(i));
  const recent = [];
  for (let i = from + 1; i <= k; i++) recent.push(move(i));
  const mean = recent.length ? recent.reduce((a, b) => a + b) / recent.length : 0;
  const inertia = run.settings.momentum !== undefined && ["momentum", "nag"].includes(run.key) ? run.settings.momentum : 0;
  const limit = run.key === "nag" ? 2 * (1 + inertia) / (1 + 2 * inertia) : 2 * (1 + inertia);
  return { d, from, slope, steepest, largest, mean, limit: Number(limit.toPrecision(3)), plain: grows(run.key) && ["sgd", "momentum", "nag"].includes(run.key) };
}

function near(surface, run, k) {
  const d = 0.012 * size(surface);
  return surface.minima.some(([x, y]) => Math.hypot(run.x[k] - x, run.y[k] - y) < d);
}

const TESTS = [
  (surface, run, k) => {
    if (run.lost === null || k < run.lost) return null;
    const last = run.lost;
    if (run.loss[last] < run.loss[0]) return ["left"];
    const f = facts(surface, run, last);
    let sharp = 0, where = 0;
    for (let i = 0; i < Math.min(last, 60); i++) {
      const c = curvature(surface, run.x[i], run.y[i]).high;
      if (c > sharp && c < 1e9) { sharp = c; where = i; }
      if (f.plain && run.lr[i + 1] * c > f.limit) { sharp = c; where = i; break; } // the first that is too much
    }
    const lr = run.lr[where + 1];
    return f.plain && lr * sharp > f.limit ? ["divergedwhy", short(lr), short(sharp), short(lr * sharp), short(f.limit)] : ["diverged"];
  },
  (surface, run, k) => (k === 0 ? ["waiting"] : null),
  (surface, run, k) => {
    if (!near(surface, run, k)) return null;
    let since = k;
    while (since > 0 && near(surface, run, since - 1)) since--;
    return k - since >= 3 || since === 0 ? ["arrived", since] : null;
  },
  (surface, run, k) => {
    if (k < 10) return null;
    const f = facts(surface, run, k), c = curvature(surface, run.x[k], run.y[k]), along = c.along;
    let flips = 0, counted = 0, before = 0;
    for (let i = f.from + 1; i <= k; i++) {
      const d = (run.x[i] - run.x[i - 1]) * along[0] + (run.y[i] - run.y[i - 1]) * along[1];
      if (Math.abs(d) > 2e-4 * f.d) { if (before && d * before < 0) flips++; counted++; }
      before = d;
    }
    if (c.high <= 0 || counted < 8 || flips < 0.75 * (counted - 1)) return null;
    return f.plain ? ["oscillateswhy", short(run.lr[k] * c.high), short(f.limit)] : ["oscillates"];
  },
  (surface, run, k) => { // slower swings, as momentum makes them: the slope along the steep direction changes its sign
    const f = facts(surface, run, k), c = curvature(surface, run.x[k], run.y[k]), from = Math.max(1, k - 30);
    if (k < 10 || c.high <= 0) return null;
    let turns = 0, before = 0, low = Infinity, high = -Infinity;
    for (let i = from; i <= k; i++) {
      const slope = run.gx[i] * c.along[0] + run.gy[i] * c.along[1], place = run.x[i] * c.along[0] + run.y[i] * c.along[1];
      if (before * slope < 0) turns++;
      before = slope; low = Math.min(low, place); high = Math.max(high, place);
    }
    return turns >= 4 && high - low > 0.02 * f.d ? ["swings", short(2 * (k - from) / turns, 2)] : null;
  },
  (surface, run, k) => {
    const f = facts(surface, run, k);
    if (k < 5 || f.slope > 0.03 * f.steepest || f.mean > 3e-3 * f.d) return null;
    const c = curvature(surface, run.x[k], run.y[k]), big = Math.max(Math.abs(c.low), Math.abs(c.high));
    if (c.low < -0.02 * big && big > 1e-6) return ["saddle", short(c.low)];
    if (f.slope > 2e-3 * f.steepest) return null;
    if (c.low > 1e-4 * big && big > 1e-6) return lowest(surface) === null ? null : near(surface, run, k) ? ["arrived", k] : f.slope * f.slope / c.low < 1e-3 * (run.loss[k] - lowest(surface)) ? ["local", short(run.loss[k] - lowest(surface))] : null;
    return big < 1e-3 * f.steepest || big <= 1e-6 ? ["plateau"] : null;
  },
  (surface, run, k) => {
    const f = facts(surface, run, k);
    if (k < 20 || f.mean > 2e-3 * f.d || f.slope < 1e-3 * f.steepest) return null;
    const reach = i => Math.hypot(run.x[i] - run.x[i - 1], run.y[i] - run.y[i - 1]) / (Math.hypot(run.gx[i - 1], run.gy[i - 1]) || 1);
    const share = reach(k) / reach(1);
    return share < 0.1 ? ["shrank", `${short(100 * share, 2)}%`] : f.mean < 3e-4 * f.d ? ["crawls"] : null;
  },
];

function explain(surface, run, k) {
  for (const test of TESTS) {
    const found = test(surface, run, k);
    if (found) return found;
  }
  return ["going"];
}

const said = ([key, ...rest]) => word(key)(...rest);
