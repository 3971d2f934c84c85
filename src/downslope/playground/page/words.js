// What the page says, in both languages. A function takes the numbers of a sentence.
const WORDS = {
  en: {
    other: "中文", title: "playground", share: "Copy link", copied: "Link copied", copythis: "Copy this link:",
    surface: "Surface", stage: "Surface and paths", side: "Optimizers and their settings", optimizers: "Optimizers",
    choose: "Choose optimizers", transport: "Playback", play: "Play", pause: "Pause", back: "One step back",
    forward: "One step forward", scrub: "Step", steps: "Steps", speed: "Steps a second", schedule: "Schedule of lr",
    noise: "Gradient noise", startx: "Start, x", starty: "Start, y", arrows: "Arrows", reset: "Reset",
    maphelp: "Drag the start point, or move it with the arrow keys when the map has the focus. Space plays and pauses; , and . step.",
    losschart: "Loss above the lowest known value", ratechart: "Effective step for each coordinate, |Δ| / |gradient|:",
    remove: n => `Remove ${n}`, all: n => `All ${n} …`, fewer: "Fewer", focus: n => `Show the effective step of ${n}`, formula: "Formula and live values",
    value: "now (x, y)", more: "Own formula", lr: "learning rate",
    stepof: (k, n) => `step ${k} of ${n}`,
    mapis: (s, x, y, k) => `Map of ${s} with the paths of the optimizers. The start is at ${x}, ${y}; step ${k}.`,
    lossis: text => `Loss over steps. ${text}`, ratesis: n => `Effective step of ${n} for x and y over steps.`,
    none: "Choose an optimizer above.",
    diverged: () => "Diverged.",
    divergedwhy: (lr, c, p, limit) => `Diverged: lr × curvature = ${lr} × ${c} = ${p}, above ${limit}.`,
    left: () => "Left the picture downhill: this surface has no lowest point.",
    arrived: k => `At the minimum since step ${k}.`,
    local: f => `Rests in a local minimum, ${f} above the lowest.`,
    saddle: c => `Sits at a saddle: the slope is nearly 0, and the ground curves down (${c}) along one direction.`,
    plateau: () => "On a plateau: neither slope nor curvature to go by.",
    oscillates: () => "Oscillates across the valley: each step lands on the other wall.",
    oscillateswhy: (p, limit) => `Oscillates across the valley: lr × curvature = ${p} (it diverges above ${limit}).`,
    swings: n => `Swings across the valley, to and fro in about ${n} steps: it is carried past the floor.`,
    shrank: f => `The step shrank to nothing: ${f} of the first, though the slope is still there.`,
    crawls: () => "Crawls: tiny steps, though the slope is not gone; a larger lr may help.",
    going: () => "On its way.", waiting: () => "At the start.",
    schedules: { constant: "constant", linear: "linear to 0", cosine: "cosine to 0", step: "step: ÷10 at ½ and ¾", exponential: "exponential to 1%", warmup: "warm-up 10%, then cosine" },
    surfaces: { beale: "Beale", "long-valley": "Long valley", saddle: "Saddle", "monkey-saddle": "Monkey saddle", rosenbrock: "Rosenbrock", himmelblau: "Himmelblau", booth: "Booth", matyas: "Matyas", "three-hump-camel": "Three-hump camel", "six-hump-camel": "Six-hump camel", "goldstein-price": "Goldstein-Price", "styblinski-tang": "Styblinski-Tang", rastrigin: "Rastrigin", ackley: "Ackley", griewank: "Griewank", easom: "Easom", mccormick: "McCormick", "levy-13": "Lévi N. 13", branin: "Branin", zakharov: "Zakharov", "dixon-price": "Dixon-Price", bump: "Bump on a slope", quadratic: "Ill-conditioned bowl", "noisy-quadratic": "Noisy bowl" },
  },
  zh: {
    other: "English", title: "游乐场", share: "复制链接", copied: "链接已复制", copythis: "请复制此链接：",
    surface: "曲面", stage: "曲面与路径", side: "优化器及其设置", optimizers: "优化器",
    choose: "选择优化器", transport: "播放控制", play: "播放", pause: "暂停", back: "后退一步",
    forward: "前进一步", scrub: "步数", steps: "总步数", speed: "每秒步数", schedule: "学习率调度",
    noise: "梯度噪声", startx: "起点 x", starty: "起点 y", arrows: "箭头", reset: "重置",
    maphelp: "拖动起点；地图获得焦点时也可用方向键移动。空格键播放或暂停，逗号与句号键单步。",
    losschart: "损失（高出已知最低值）", ratechart: "各坐标的有效步长 |Δ| / |梯度|：",
    remove: n => `移除 ${n}`, all: n => `全部 ${n} 个…`, fewer: "收起", focus: n => `显示 ${n} 的有效步长`, formula: "公式与实时数值",
    value: "当前 (x, y)", more: "自定义公式", lr: "学习率",
    stepof: (k, n) => `第 ${k} 步，共 ${n} 步`,
    mapis: (s, x, y, k) => `${s} 的地图与各优化器的路径。起点 ${x}, ${y}；第 ${k} 步。`,
    lossis: text => `损失随步数的变化。${text}`, ratesis: n => `${n} 在 x、y 方向的有效步长随步数的变化。`,
    none: "请在上方选择优化器。",
    diverged: () => "已发散。",
    divergedwhy: (lr, c, p, limit) => `已发散：学习率 × 曲率 = ${lr} × ${c} = ${p}，超过 ${limit}。`,
    left: () => "沿下坡离开了画面：此曲面没有最低点。",
    arrived: k => `自第 ${k} 步起已到达最小值。`,
    local: f => `停在局部极小值，比最低值高 ${f}。`,
    saddle: c => `停在鞍点：坡度几乎为 0，而某一方向向下弯曲（${c}）。`,
    plateau: () => "位于平台：既无坡度也无曲率可循。",
    oscillates: () => "在谷中来回振荡：每一步都落到对面的谷壁。",
    oscillateswhy: (p, limit) => `在谷中来回振荡：学习率 × 曲率 = ${p}（超过 ${limit} 即发散）。`,
    swings: n => `在谷中来回摆动，约 ${n} 步一个来回：惯性带它冲过谷底。`,
    shrank: f => `步长缩小到几乎为零：只有第一步的 ${f}，而坡度仍在。`,
    crawls: () => "爬行：步子极小，而坡度仍在；增大学习率或许有帮助。",
    going: () => "行进中。", waiting: () => "在起点。",
    schedules: { constant: "恒定", linear: "线性降到 0", cosine: "余弦降到 0", step: "阶梯：½ 与 ¾ 处 ÷10", exponential: "指数降到 1%", warmup: "预热 10%，再余弦" },
    surfaces: { beale: "Beale 函数", "long-valley": "长谷", saddle: "鞍面", "monkey-saddle": "猴鞍面", rosenbrock: "Rosenbrock 香蕉函数", himmelblau: "Himmelblau 函数", booth: "Booth 函数", matyas: "Matyas 函数", "three-hump-camel": "三峰驼函数", "six-hump-camel": "六峰驼函数", "goldstein-price": "Goldstein-Price 函数", "styblinski-tang": "Styblinski-Tang 函数", rastrigin: "Rastrigin 函数", ackley: "Ackley 函数", griewank: "Griewank 函数", easom: "Easom 函数", mccormick: "McCormick 函数", "levy-13": "Lévi N. 13 函数", branin: "Branin 函数", zakharov: "Zakharov 函数", "dixon-price": "Dixon-Price 函数", bump: "坡上小丘", quadratic: "病态二次碗", "noisy-quadratic": "含噪二次碗" },
  },
};

let language = "en";
const word = key => WORDS[language][key];

function short(value, digits = 3) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
  return text.replace("e+", "e").replace(/-/g, "−");
}
