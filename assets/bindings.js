// How a figure's attributes are filled from named arrays: the same rules as ui/bindings.py.

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** The number whose log10 is given, as "8.13·10⁻⁶": ui/numbers.py power. */
export function power(log10) {
  let exponent = Math.floor(log10);
  let mantissa = Math.round(100 * 10 ** (log10 - exponent)) / 100;
  if (mantissa >= 10) { mantissa /= 10; exponent += 1; }
  return `${mantissa.toFixed(2)}·10${[...String(exponent)].map((sign) => SUPERSCRIPT[sign]).join("")}`;
}

/** Steps as places on the axis: log10 of step + 1, since there is a step 0. */
export const toAxis = { linear: (step) => step, log: (step) => Math.log10(step + 1) };
export const fromAxis = { linear: (place) => place, log: (place) => 10 ** place - 1 };

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

function words(array) {
  const [count, layers] = array.shape;
  for (let i = array.words.length; i < count; i++) { // only what is new
    array.words.push(Array.from({ length: layers }, (_, layer) => {
      const value = array.values[i * layers + layer];
      return Number.isNaN(value) ? "" : power(value);
    }));
  }
  return Array.from({ length: layers }, (_, layer) => array.words.map((column) => column[layer]));
}

/** The values alone: texts are bare lists (whose own `values` is a method), arrays come with a shape. */
function bare(found) {
  return found.shape ? found.values : found;
}

const HOW = {
  plain: (found) => bare(found),
  rows: (found) => Array.from({ length: found.shape[0] }, (_, index) => row(found, index)),
  step: (found, plan, run, options) => Float64Array.from(found.values, toAxis[options.step_axis]),
  across: (found, plan, run) => new Array(run.get("layer_names").length).fill(Array.from(found.values)),
  unmarked: (found, plan, run) => {
    const marks = run.get("marks").values;
    return turned(found, Float32Array, (value, index) => (marks[index] ? NaN : value));
  },
  equal: (found, plan) => turned(found, Float32Array, (value) => (value === plan.to ? 1 : NaN)),
  words,
  layer: (found, plan, run, options) =>
    Array.isArray(found)
      ? found[Math.min(options.layer, found.length) - 1]
      : row(found, Math.min(options.layer, found.shape[0]) - 1),
};

/** The values a binding stands for; an empty list where the run does not have them. */
export function resolve(binding, run, options) {
  const plan = typeof binding === "string" ? { of: binding } : binding;
  const found = run?.get(plan.of.replace("{kind}", options.kind));
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

/** The colour of a token; for a colour scale, from nothing to it. */
export function paint(path, token, colours) {
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
