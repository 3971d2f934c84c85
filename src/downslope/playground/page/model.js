// Surfaces and runs. A run is computed whole when a setting changes; playing only moves a cursor over it.
const OPTIMIZERS = Object.fromEntries(DATA.optimizers.map(each => [each.key, each]));
const SURFACES = Object.fromEntries(DATA.surfaces.map(each => [each.name, each]));

const at = { p: new Float64Array(1), x: new Float64Array(1), y: new Float64Array(1), dx: new Float64Array(1), dy: new Float64Array(1) };

function slopes(name, x, y) {
  at.x[0] = x; at.y[0] = y;
  HEIGHTS[name].slopes(at, {});
  return [at.p[0], at.dx[0], at.dy[0]];
}

// Eigenvalues, the smaller first, and the direction of the larger, of the Hessian by central differences of the slopes.
function curvature(surface, x, y) {
  const [[left, right], [low, high]] = surface.domain;
  const h = 1e-5 * Math.max(right - left, high - low);
  const [, ax, ay] = slopes(surface.name, x + h, y), [, bx, by] = slopes(surface.name, x - h, y);
  const [, cx, cy] = slopes(surface.name, x, y + h), [, dx, dy] = slopes(surface.name, x, y - h);
  const xx = (ax - bx) / (2 * h), yy = (cy - dy) / (2 * h), xy = (ay - by + cx - dx) / (4 * h);
  const middle = (xx + yy) / 2, spread = Math.hypot((xx - yy) / 2, xy), angle = Math.atan2(2 * xy, xx - yy) / 2;
  return { low: middle - spread, high: middle + spread, along: [Math.cos(angle), Math.sin(angle)] };
}

const size = surface => Math.hypot(surface.domain[0][1] - surface.domain[0][0], surface.domain[1][1] - surface.domain[1][0]);

function lowest(surface) {
  if (surface.lowest === undefined) {
    surface.lowest = surface.minima.length ? Math.min(...surface.minima.map(([x, y]) => slopes(surface.name, x, y)[0])) : null;
  }
  return surface.lowest;
}

// Whether a rule's steps grow with the gradient (as SGD's) or not (as Adam's): one of its first with g and with 1000 g.
function grows(key, step = 10) {
  const known = OPTIMIZERS[key], kept = (known.grows ??= {});
  return (kept[step] ??= (() => {
    const moved = g => {
      const run = begin(key, { ...known.settings, lr: 1e-6 }, 1, 1);
      let before = 1;
      for (let k = 1; k <= step; k++) { before = run.tensors.p[0]; advance(key, run, g, g, k); }
      return Math.abs(run.tensors.p[0] - before);
    };
    return moved(1000) > 100 * moved(1);
  })());
}

// The largest curvature to be met at the start and at the minima; where that is infinite, as at Ackley's, a usual one.
function steepest(surface) {
  return (surface.steepest ??= (() => {
    const [[left, right], [low, high]] = surface.domain, many = [];
    for (let i = 1; i < 14; i++) for (let j = 1; j < 14; j++) many.push(curvature(surface, left + i / 14 * (right - left), low + j / 14 * (high - low)).high);
    const usual = Math.max(0.1, many.sort((a, b) => a - b)[135]);
    const met = [surface.start, ...surface.minima].map(([x, y]) => curvature(surface, x, y).high);
    return Math.max(0.1, ...met.map(each => (each < 300 * usual ? each : usual)));
  })());
}

const TIMES = { momentum: 0.35, nag: 0.35, asgd: 1, qhm: 2, schedule_free_sgd: 1.5, adagrad: 10, rmsprop: 0.5, rmsprop_tf: 0.5, sign_sgd: 0.5, signsgd: 0.5, pid: 0.05, aggmo: 0.2, ano: 0.5, lion: 0.5, signum: 0.5, rprop: 0.5, root_mean_square: 3, schedule_free_adamw: 2 };
const GENTLE = { qhm: { momentum: 0.9 }, adadelta: { rho: 0.95 }, rmsprop: { alpha: 0.95 } };

// The settings an optimizer starts with on a surface: those it is known with there, else an lr that suits its size.
function defaults(surface, key) {
  const known = { ...OPTIMIZERS[key].settings, ...(GENTLE[key] || {}) };
  if (surface.classic[key]) return { ...known, ...surface.classic[key] };
  if (!("lr" in known)) return known;
  const wide = size(surface) / Math.SQRT2;
  if (key === "adadelta") known.lr = wide / 200 / Math.sqrt(known.eps);
  else {
    const plain = 0.6 / steepest(surface), even = wide / 90;
    known.lr = (TIMES[key] || 1) * (grows(key) ? plain : grows(key, 2) ? Math.min(even, 3 * plain) : even); // RAdam starts as SGD
  }
  known.lr = Number(known.lr.toPrecision(2));
  return known;
}

function begin(key, settings, x, y) {
  const known = OPTIMIZERS[key], tensors = { p: Float64Array.of(x, y), g: new Float64Array(2) }, numbers = { ...settings };
  const first = value => (typeof value === "string" ? settings[value] : value);
  for (const [name, value] of Object.entries(known.states)) tensors[name] = value === "p" ? Float64Array.of(x, y) : new Float64Array(2).fill(first(value));
  for (const [name, value] of Object.entries(known.numbers)) numbers[name] = first(value);
  return { tensors, numbers };
}

function advance(key, run, gx, gy, t) {
  run.tensors.g[0] = gx; run.tensors.g[1] = gy;
  run.numbers.t = t;
  STEPS[key](run.tensors, run.numbers);
}

// Normal random numbers, two a step, the same for every optimizer.
function normals(seed, count) {
  let a = seed >>> 0;
  const uniform = () => {
    a = (a + 0x6D2B79F5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  const out = new Float64Array(2 * count);
  for (let i = 0; i < count; i++) {
    const r = Math.sqrt(-2 * Math.log(uniform())), angle = 2 * Math.PI * uniform();
    out[2 * i] = r * Math.cos(angle); out[2 * i + 1] = r * Math.sin(angle);
  }
  return out;
}

// The gradient's usual size on a surface, that noise is measured in.
function usual(surface) {
  const [, gx, gy] = slopes(surface.name, ...surface.start);
  return Math.hypot(gx, gy) || 1;
}

function walk(surface, key, settings, plan) {
  const n = plan.steps, run = begin(key, settings, plan.x, plan.y), factor = SCHEDULES[plan.schedule];
  const random = plan.noise > 0 ? normals(plan.seed, n) : null, spread = plan.noise * usual(surface);
  const kept = OPTIMIZERS[key].lines.map(line => line.value).filter(Boolean);
  const found = { key, settings, x: new Float64Array(n + 1), y: new Float64Array(n + 1), loss: new Float64Array(n + 1), gx: new Float64Array(n + 1), gy: new Float64Array(n + 1), lr: new Float64Array(n + 1), values: Object.fromEntries(kept.map(name => [name, new Float64Array(2 * n + 2).fill(NaN)])), lost: null, n };
  const far = 20 * size(surface), [[left, right], [low, high]] = surface.domain, spare = [(right - left) / 2, (high - low) / 2];
  for (let k = 0; k <= n; k++) {
    const [x, y] = run.tensors.p, [loss, gx, gy] = slopes(surface.name, x, y);
    found.x[k] = x; found.y[k] = y; found.loss[k] = loss; found.gx[k] = gx; found.gy[k] = gy;
    const outside = x < left - spare[0] || x > right + spare[0] || y < low - spare[1] || y > high + spare[1];
    const below = outside && surface.minima.length === 0 && loss < found.loss[0];
    if (found.lost === null && (below || !(Number.isFinite(loss) && Math.hypot(x - plan.x, y - plan.y) < far))) found.lost = k;
    if (k === n) break;
    found.lr[k + 1] = run.numbers.lr = settings.lr * factor(k, n);
    advance(key, run, random ? gx + spread * random[2 * k] : gx, random ? gy + spread * random[2 * k + 1] : gy, k + 1);
    for (const name of kept) { found.values[name][2 * k + 2] = run.tensors[name][0]; found.values[name][2 * k + 3] = run.tensors[name][1]; }
  }
  return found;
}
