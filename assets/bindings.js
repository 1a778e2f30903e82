// How a figure's attributes are filled from named arrays: the same rules as ui/bindings.py.
// A side is { run, label, colour, dash, symbol }; the Lab has one, of which only `run` matters.

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** The number whose log10 is given, as "8.13·10⁻⁶": ui/numbers.py power. */
export function power(log10) {
  let exponent = Math.floor(log10);
  let mantissa = Math.round(100 * 10 ** (log10 - exponent)) / 100;
  if (mantissa >= 10) { mantissa /= 10; exponent += 1; }
  return `${mantissa.toFixed(2)}·10${[...String(exponent)].map((sign) => SUPERSCRIPT[sign]).join("")}`;
}

const logarithm = (value) => Math.log10(value + 1); // there is a step 0

/** What a run's steps become in the unit of an axis. */
const UNITS = {
  linear: () => (step) => step,
  log: () => (step) => step,
  epoch: (run) => (step) => step / run?.header.steps_per_epoch,
  seconds: (run) => secondsOf(run?.get("steps")?.values, run?.get("record_seconds")?.values),
};

/** Seconds of training between the records; after the last one at the pace so far. */
function secondsOf(steps, seconds) {
  if (!steps?.length || steps.length !== seconds?.length) return () => NaN;
  const last = steps.length - 1, pace = seconds[last] / Math.max(steps[last], 1);
  let place = 0; // mostly asked in rising order: the search goes on from where it was
  return (step) => {
    if (step >= steps[last]) return seconds[last] + (step - steps[last]) * pace;
    if (step <= steps[0]) return seconds[0];
    if (steps[place] > step) place = 0;
    while (steps[place + 1] <= step) place += 1;
    const share = (step - steps[place]) / (steps[place + 1] - steps[place]);
    return seconds[place] + share * (seconds[place + 1] - seconds[place]);
  };
}

/** A function from a run's steps to places on the axis. */
export function placesOf(run, axis) {
  const unit = UNITS[axis](run);
  return axis === "log" ? (step) => logarithm(unit(step)) : unit;
}

/** From what an axis counts to a place on it, and back. */
export function onAxis(axis) {
  return axis === "log" ? logarithm : (value) => value;
}
export function offAxis(axis) {
  return axis === "log" ? (place) => 10 ** place - 1 : (place) => place;
}

const GROWTH = 2 ** 0.25; // the x axis grows by this factor at once, so it mostly stands still
const LEAST = { linear: 16, log: 16, epoch: 1, seconds: 1 };

/** Where the x axis ends for the longest of the sides, in its unit; open ones leave some room. */
export function axisEnd(sides, axis) {
  const ends = sides.map(({ run }) => {
    const { step, status } = run?.header ?? {};
    if (step === undefined) return NaN;
    const end = UNITS[axis](run)(Math.max(step, 1));
    if (status !== "running") return end;
    return GROWTH ** Math.ceil(Math.log(Math.max(end, LEAST[axis])) / Math.log(GROWTH) - 1e-9);
  });
  return Math.max(...ends.filter(Number.isFinite), 0) || EMPTY[axis];
}
const EMPTY = { linear: 100, log: 100, epoch: 10, seconds: 10 }; // where there is nothing yet

/** [n, layers] -> one array of n per layer, each cell through `cell(value, index)`. */
function turned({ values, shape: [count, layers] }, Row, cell) {
  return Array.from({ length: layers }, (_, layer) => {
    const row = new Row(count);
    for (let i = 0; i < count; i++) row[i] = cell(values[i * layers + layer], i * layers + layer);
    return row;
  });
}

function row({ values, shape }, index) {
  return values.subarray(index * shape[1], (index + 1) * shape[1]);
}

/** Made once for each row, also of one that is cut out of a whole. */
function words({ whole, first = 0, ...own }) {
  const array = whole ?? own;
  const layers = array.shape[1], end = first + own.shape[0];
  for (let i = array.words.length; i < end; i++) { // only what is new
    array.words.push(Array.from({ length: layers }, (_, layer) => {
      const value = array.values[i * layers + layer];
      return Number.isNaN(value) ? "" : power(value);
    }));
  }
  const columns = array.words.slice(first, end);
  return Array.from({ length: layers }, (_, layer) => columns.map((column) => column[layer]));
}

/** The values alone: texts are bare lists (whose own `values` is a method), arrays come with a shape. */
function bare(found) {
  return found.shape ? found.values : found;
}

/** The row of the chosen layer in a network of that many: the one as deep, relatively. */
export function rowOf(rows, { layer, layers = 0 }) {
  const own = layers > 1 ? Math.floor(1.5 + ((layer - 1) * (rows - 1)) / (layers - 1)) : layer;
  return Math.max(1, Math.min(own, rows)) - 1;
}

function ofLayer(found, options) {
  return Array.isArray(found) ? found[rowOf(found.length, options)] : row(found, rowOf(found.shape[0], options));
}

function density(found, plan, run, options) {
  const counts = ofLayer(found, options);
  const bins = resolve({ of: plan.bins, as: "layer" }, run, options);
  const width = (bins[bins.length - 1] - bins[0]) / (bins.length - 1);
  const total = counts.reduce((sum, count) => sum + count, 0);
  return total ? Float64Array.from(counts, (count) => count / (total * width)) : [];
}

const HOW = {
  plain: (found) => bare(found),
  rows: (found) => Array.from({ length: found.shape[0] }, (_, index) => row(found, index)),
  step: (found, plan, run, options) => Float64Array.from(found.values, placesOf(run, options.step_axis)),
  place: (found, plan, run, options) => Float64Array.from(found.values, onAxis(options.step_axis)),
  depth: (found, plan, run, options) =>
    options.depth === "relative" ? found.map((_, place) => place / Math.max(found.length - 1, 1)) : found,
  across: (found, plan, run) => new Array(run.get("layer_names").length).fill(Array.from(found.values)),
  unmarked: (found, plan, run) => {
    const marks = run.get(plan.marks ?? "marks").values;
    return turned(found, Float32Array, (value, index) => (marks[index] ? NaN : value));
  },
  equal: (found, plan) => turned(found, Float32Array, (value) => (value === plan.to ? 1 : NaN)),
  words,
  layer: (found, plan, run, options) => ofLayer(found, options),
  density,
};

/** A name with what a person chose put in: "{kind}_x" -> "weight_x". */
export function named(name, options) {
  return name.replace(/\{(\w+)\}/, (_, choice) => options[choice]);
}

/** The values a binding stands for; an empty list where the run does not have them. */
export function resolve(binding, run, options) {
  const plan = typeof binding === "string" ? { of: binding } : binding;
  const found = run?.get(named(plan.of, options));
  if (found === undefined || bare(found).length === 0) return [];
  return HOW[plan.as ?? "plain"](found, plan, run, options);
}

/** Whether there is any number in it at all. */
export function holdsAny(values) {
  return Array.from(values).some((value) =>
    ArrayBuffer.isView(value) ? value.some(Number.isFinite) : Number.isFinite(value));
}

function rgba(colour, alpha) {
  const [red, green, blue] = [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16));
  return `rgba(${red},${green},${blue},${alpha})`;
}

const CONTENDER = {
  contender: ({ colour }) => colour,
  contender_line: ({ colour }) => rgba(colour, 0.3),
  contender_band: ({ colour }) => rgba(colour, 0.3),
  contender_range: ({ colour }) => rgba(colour, 0.14),
  contender_dash: ({ dash }) => dash,
  contender_symbol: ({ symbol }) => symbol,
  contender_label: ({ label }) => label,
};

/** The colour of a token; for a colour scale, from nothing to it. */
export function paint(path, token, colours, side) {
  if (token in CONTENDER) return CONTENDER[token](side);
  if (token.endsWith("_band")) return rgba(colours[token.replace("_band", "")], 0.3);
  const colour = colours[token];
  if (path !== "colorscale") return colour;
  return [[0, rgba(colour, token === "ridge" ? 0 : 1)], [1, rgba(colour, 1)]];
}

/** Set "a.b.c" in nested objects that are ours alone. */
export function set(target, path, value) {
  const keys = path.split(".");
  const last = keys.pop();
  for (const key of keys) target = target[key] ??= {};
  target[last] = value;
}

/** A figure's traces with their data and colours: those of `each` once per side, others of the first.
 *  Those that would not be shown are left out: even an invisible one costs a millisecond. */
export function filled(figure, sides, options, colours) {
  return together(figure.data).flatMap((traces) =>
    (traces[0].meta.each ? sides : sides.slice(0, 1)).flatMap((side) =>
      traces.flatMap((trace) => filledTrace(trace, side, options, colours))));
}

/** Neighbours of one `each`: both edges of a band are drawn before the next side's. */
function together(traces) {
  const groups = [];
  for (const trace of traces) {
    if (groups.length && groups.at(-1)[0].meta.each === trace.meta.each) groups.at(-1).push(trace);
    else groups.push([trace]);
  }
  return groups;
}

function filledTrace({ meta, ...template }, side, options, colours) {
  if (meta.shown && !holdsAny(resolve(meta.shown, side.run, options))) return [];
  const trace = { ...structuredClone(template), visible: true }; // the empty one says that it is not
  for (const [path, binding] of Object.entries(meta.fill)) set(trace, path, resolve(binding, side.run, options));
  for (const [path, token] of Object.entries(meta.paint)) set(trace, path, paint(path, token, colours, side));
  return trace;
}

/** The names of the arrays and texts that a figure is filled from. */
export function namesIn(figure) {
  const found = new Set(figure.layout.meta.steps ? ["steps", "record_seconds"] : []); // for the x axis
  const add = (binding) => {
    if (!binding) return;
    const plan = typeof binding === "string" ? { of: binding } : binding;
    for (const name of [plan.of, plan.bins, plan.marks]) if (name) found.add(name);
  };
  for (const { meta } of figure.data) [...Object.values(meta.fill), meta.shown].forEach(add);
  add(figure.layout.meta.aside);
  return [...found];
}
