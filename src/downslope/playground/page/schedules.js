// The factor on lr at step k (from 0) of n, as downslope.schedules have it.
const SCHEDULES = {
  constant: () => 1,
  linear: (k, n) => 1 - k / n,
  cosine: (k, n) => (1 + Math.cos(Math.PI * k / n)) / 2,
  step: (k, n) => (k < n / 2 ? 1 : k < 3 * n / 4 ? 0.1 : 0.01),
  exponential: (k, n) => Math.pow(0.01, k / n),
  warmup: (k, n) => { const w = Math.max(1, Math.round(n / 10)); return k < w ? (k + 1) / (w + 1) : (1 + Math.cos(Math.PI * (k - w) / Math.max(1, n - w))) / 2; },
};
