// The Theory page: a slider of sigma_w, theory's lines, and the seeds measured meanwhile.
// Python mounts it once per network; what moves is asked of the server by the browser itself, under
// /live/theory. Every answer is whole, so that of several only the last matters.

import { Board, make, mounted } from "./board.js";
import { Chart } from "./charts.js";
import { put } from "./legend.js";

const AGAIN = 120; // ms until it is asked again while seeds are being measured
const LATER = 1500; // ms until it is asked again after a fault
const SETTLE = 350; // ms that the slider rests before the link is told
const STOPS = 700; // of the slider, over its decades

/** What is known of a network, under the names that figures are filled from: as frames.js's RunState. */
class Known {
  constructor() {
    Object.assign(this, { id: "theory", seq: 0, header: {}, arrays: new Map(), changed: new Map() });
  }

  take(columns, alt, names = Object.keys(columns)) {
    this.seq += 1;
    this.header.alt = { ...this.header.alt, ...alt };
    for (const name of names) {
      const said = JSON.stringify(columns[name] ?? null);
      if (this.arrays.get(name)?.said === said) continue;
      this.changed.set(name, this.seq);
      if (columns[name] === undefined) this.arrays.delete(name);
      else this.arrays.set(name, { said, value: valueOf(columns[name]) });
    }
  }

  get(name) { return this.arrays.get(name)?.value; }

  /** Equal for two moments at which all that the names stand for was the same. */
  stamp(names) { return names.map((name) => this.changed.get(name) ?? 0); }
}

function valueOf(told) {
  if (!told.shape) return told;
  return { values: Float64Array.from(told.values, (value) => value ?? NaN), shape: told.shape, words: [] };
}

class TheoryChart extends Chart {
  /** The ends of a logarithmic axis are Python's: fixed ones, so that it stands still. */
  traces(context) {
    const range = context.ranges[this.plot.dataset.chart];
    if (range) this.figure.layout.yaxis.range = range;
    return super.traces(context);
  }

  signature(context, size) {
    return super.signature(context, size) + JSON.stringify(context.ranges[this.plot.dataset.chart] ?? "");
  }

  /** Only as a picture: a page of its own is made of runs. */
  told() {
    return { ...super.told(), address: null, name: `theory-${this.plot.dataset.chart}` };
  }
}

class Theory extends Board {
  constructor(root) {
    super(root);
    this.viewer = crypto.getRandomValues(new Uint32Array(2)).join("-");
    this.known = new Known();
    this.makeSlider();
    this.makeLine();
    this.formula = make("div", "vgl-formula", root);
    this.grid = make("div", "vgl-charts vgl-theory", root);
    this.told = []; // values of std that Python was told of and may say back
    this.phase = null; // the activation whose diagram is shown
  }

  makeSlider() {
    const row = make("div", "vgl-sigma", this.root);
    const label = make("label", "vgl-sigma-name", row);
    setMarked(label, "σ_{w}");
    this.slider = make("input", "vgl-slider-sigma", row);
    Object.assign(this.slider, { type: "range", min: 0, max: STOPS, step: 1, id: "vgl-sigma" });
    label.htmlFor = this.slider.id;
    this.slider.setAttribute("aria-label", "sigma w: spread of the weights times the root of a layer's inputs");
    this.slider.oninput = () => this.slid();
    this.shown = make("output", "vgl-sigma-value", row);
    this.shown.htmlFor = this.slider.id;
    this.edge = make("button", "vgl-sigma-edge", row);
    Object.assign(this.edge, { type: "button", hidden: true, textContent: "To the edge of chaos" });
    this.edge.onclick = () => this.toEdge();
  }

  /** Take what Python says now. An echo of our own slider changes nothing. */
  update({ data: [data], setStateValue }) {
    const first = !this.data;
    this.setStateValue = setStateValue;
    const { fields } = data;
    this.data = data;
    this.theme();
    if (first) this.build();
    const echo = this.told.indexOf(keyOf(fields));
    if (echo >= 0) this.told.splice(0, echo + 1);
    if (first || (echo < 0 && keyOf(fields) !== keyOf(this.fields ?? {})) || this.run !== data.run) {
      if (echo < 0) this.turnTo(fields, data.run);
      else this.run = data.run;
    }
    for (const chart of this.charts) chart.want();
    this.needPlotly();
  }

  build() {
    this.charts = Object.entries(this.data.figures).map(([name, figure]) =>
      new TheoryChart({
        name, figure, parent: this.grid, context: () => this.context(), wanted: () => this.schedule(),
      }));
  }

  context() {
    const { themes, ticks, ranges } = this.data;
    const { Plotly, mode, look } = this;
    const options = { kind: "gradient", layer: 1, step_axis: "linear", depth: "layer", part: "train" };
    const now = Object.fromEntries(Object.entries(ranges).map(([name, column]) => [name, this.known.get(column)]));
    return { Plotly, options, colours: themes[mode], mode, look, ticks, ranges: now, sides: [{ run: this.known }] };
  }

  /** Look at another network: ask for it at once, and go on asking until all is measured. */
  turnTo(fields, run) {
    this.fields = fields;
    this.run = run;
    this.root.dataset.done = "false";
    this.begun = performance.now();
    this.ask();
  }

  async ask() {
    clearTimeout(this.asking);
    if (this.waiting) { this.askedMeanwhile = true; return; } // one question at a time, the last one next
    this.waiting = true;
    this.askedMeanwhile = false;
    const { fields, run } = this;
    let rest = LATER;
    try {
      const told = await answerOf("theory", { ...fields, run, viewer: this.viewer });
      if (this.stopped) return;
      this.showConnection("open", "");
      if (fields === this.fields) {
        this.take(told);
        rest = told.done ? null : AGAIN;
      }
      this.askPhase(fields.activation ?? "sigmoid");
    } catch (error) {
      if (this.stopped) return;
      this.showConnection("lost", `The server does not answer (${error.message}); asking again.`);
    } finally {
      this.waiting = false;
    }
    if (this.askedMeanwhile) this.ask();
    else if (rest !== null) this.asking = setTimeout(() => this.ask(), document.hidden ? 5 * rest : rest);
  }

  async askPhase(activation) {
    if (this.phase === activation || this.phaseAsked === activation) return;
    this.phaseAsked = activation;
    for (;;) {
      try {
        const told = await answerOf("phase", { activation });
        if (this.stopped || this.phaseAsked !== activation) return;
        if (told.done) {
          this.phase = activation;
          this.known.take(told.columns, {});
          this.showEdge();
          this.redraw();
          return;
        }
      } catch { /* the line of words says that the server does not answer */ }
      await new Promise((resolve) => setTimeout(resolve, 2 * AGAIN));
      if (this.stopped || this.phaseAsked !== activation) return;
    }
  }

  take(told) {
    const old = [...this.known.arrays.keys()].filter((name) => !/^(phase|critical|region)_/.test(name));
    if (told.refused) {
      this.known.take({}, { activation: this.fields.activation ?? "sigmoid", seeds: "measurement" }, old);
      put(this.words, told.refused);
      this.tone("bad");
      this.write([]);
    } else {
      this.known.take(told.columns, told.alt, [...new Set([...old, ...Object.keys(told.columns)])]);
      this.sigma = told.sigma_w;
      put(this.words, told.progress);
      this.tone(told.failed ? "bad" : "");
      const texts = [...told.formula, told.plain, told.scales, told.validity].filter(Boolean);
      this.write(texts, told.valid ? "" : told.validity);
      this.root.dataset.seeds = told.seeds;
      this.showSlider();
    }
    this.root.dataset.valid = String(told.valid ?? "");
    this.root.dataset.sigma = String(told.sigma_w ?? "");
    this.root.dataset.done = String(told.done);
    this.redraw();
  }

  tone(tone) {
    if (tone) this.root.dataset.tone = tone;
    else if (!this.broken) delete this.root.dataset.tone;
  }

  write(texts, fault = "") {
    while (this.formula.children.length > texts.length) this.formula.lastChild.remove();
    texts.forEach((text, index) => {
      const line = this.formula.children[index] ?? make("p", "", this.formula);
      if (line.dataset.said !== text) setMarked(line, text);
      line.dataset.said = text;
      line.className = text === fault ? "vgl-fault" : "";
    });
  }

  redraw() {
    for (const chart of this.charts) chart.dirty = true;
    this.hurry();
    this.schedule();
  }

  // -- the slider ---------------------------------------------------------------------------

  get decades() {
    const [low, high] = this.data.sigma_w.map(Math.log10);
    return { low, wide: high - low };
  }

  showSlider() {
    if (this.sliding) return;
    const { low, wide } = this.decades;
    const place = Math.round((STOPS * (Math.log10(this.sigma) - low)) / wide);
    this.slider.value = Math.min(Math.max(place, 0), STOPS);
    this.say(this.sigma);
  }

  say(sigma) {
    const std = this.fields.init === "normal" ? `, std ${Number(this.fields.std ?? 0.05).toPrecision(3)}` : "";
    put(this.shown, `${Number(sigma.toPrecision(3))}${std}`);
    this.slider.setAttribute("aria-valuetext", String(Number(sigma.toPrecision(3))));
  }

  slid() {
    const { low, wide } = this.decades;
    this.go(10 ** (low + (wide * this.slider.value) / STOPS));
  }

  /** Weights from normal(0, std) with this sigma_w: std is sigma_w over the root of the width. */
  go(sigma) {
    const [least, most] = this.data.std;
    const std = Math.min(Math.max(sigma / Math.sqrt(this.data.width), least), most);
    const fields = { ...this.fields, init: "normal", std: String(Number(std.toPrecision(4))) };
    if (Number(fields.std) === 0.05) delete fields.std; // as Python writes it
    delete fields.gain;
    this.sliding = true;
    this.sigma = std * Math.sqrt(this.data.width);
    this.turnTo(fields, "");
    this.say(this.sigma);
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.settle(std), SETTLE);
  }

  settle(std) {
    this.sliding = false;
    if (this.stopped) return;
    this.told.push(keyOf(this.fields));
    this.setStateValue("std", Number(std.toPrecision(4)));
  }

  /** The line's sigma_w at the biases that init=normal draws: none. */
  edgeAt() {
    const [sigma, bias] = ["critical_sigma_w", "critical_sigma_b"].map((name) => this.known.get(name)?.values ?? []);
    let best = null;
    sigma.forEach((value, index) => {
      if (best === null || bias[index] < bias[best]) best = index;
    });
    return best === null || bias[best] > 0.05 ? null : sigma[best];
  }

  showEdge() { this.edge.hidden = this.edgeAt() === null; }

  toEdge() {
    this.go(this.edgeAt());
    this.showSlider();
    const { low, wide } = this.decades;
    this.slider.value = Math.round((STOPS * (Math.log10(this.sigma) - low)) / wide);
  }

  stop() {
    clearTimeout(this.asking);
    clearTimeout(this.settling);
    super.stop();
  }
}

const keyOf = (fields) => JSON.stringify(Object.entries(fields).sort());

async function answerOf(what, asked) {
  const url = new URL(what, import.meta.url);
  for (const [name, value] of Object.entries(asked)) if (value !== "") url.searchParams.set(name, value);
  const answer = await fetch(url);
  if (!(answer.headers.get("content-type") ?? "").includes("json")) throw new Error(`status ${answer.status}`);
  const told = await answer.json();
  if (told.error) throw new Error(told.error);
  return told;
}

/** Text with what stands in _{...} set lower and what stands in ^{...} set higher. */
function setMarked(place, text) {
  place.textContent = "";
  for (const part of text.split(/([_^]\{[^}]*\})/)) {
    const marked = /^([_^])\{([^}]*)\}$/.exec(part);
    if (marked) make(marked[1] === "_" ? "sub" : "sup", "", place).textContent = marked[2];
    else place.append(part);
  }
}

export function mount(component) {
  return mounted(Theory, ["live.css", "theory.css"], component);
}
