// One Plotly chart, drawn in place from a figure that Python defined and arrays of the same names.

import { axisEnd, filled, named, namesIn, offAxis, onAxis, placesOf, resolve, rowOf, set } from "./bindings.js";
import { drawn, escaped, told } from "./event_lines.js";
import { entriesOf, put, showLegend } from "./legend.js";
import { buttons } from "./save.js";

const CONFIG = { displaylogo: false, responsive: false, doubleClick: false }; // a double click shows all again
const AT_THE_EDGE = 700; // ms between two drawings of a chart that is hardly in sight

function element(tag, className, parent) {
  const made = document.createElement(tag);
  made.className = className;
  return parent.appendChild(made);
}

export class Chart {
  /** context  () -> { Plotly, sides, options, colours, look, ticks, end } of this moment; `sides` are what is
   *           drawn (ui/bindings.py Side), `end` the common end of the x axis or undefined for the chart's own,
   *           `names` other names for traces, `awaited` whether only what grows is there yet
   *  onLegend  takes the legend's entries instead of the chart's own head */
  constructor({ name, figure, parent, context, wanted, subject, onLegend }) {
    this.figure = figure;
    this.names = namesIn(figure);
    this.context = context;
    this.zoom = {}; // what is zoomed -> range; of a step axis in its unit, so it outlives linear <-> log
    this.resets = 0;
    this.frame = element("figure", `vgl-chart vgl-${name.replaceAll("_", "-")}`, parent);
    this.head = element("div", "vgl-head", this.frame);
    this.title = element("h3", "vgl-title", this.head);
    this.legend = element("div", "vgl-legend", this.head);
    this.all = element("button", "vgl-all", this.head);
    Object.assign(this.all, { type: "button", textContent: "Show all", hidden: true, onclick: () => this.reset() });
    this.plot = element("div", "vgl-plot", this.frame);
    this.plot.dataset.chart = name;
    if (subject) this.plot.dataset.subject = subject;
    // A group: its buttons, which an img would hide from a screen reader, save it. Its drawing is hidden once drawn.
    this.plot.setAttribute("role", "group");
    const title = figure.layout.meta.title.includes("{") ? "" : figure.layout.meta.title; // until it is in sight
    put(this.title, title);
    this.plot.setAttribute("aria-label", title || capital(name.replaceAll("_", " ")));
    this.caption = element("figcaption", "vgl-caption", this.frame);
    this.aside = element("p", "vgl-aside", this.frame);
    this.onLegend = onLegend ?? ((entries) => showLegend(this.legend, entries));
    this.dirty = true;
    this.wanted = wanted;
    this.size = new ResizeObserver(() => this.want());
    this.size.observe(this.plot);
    this.sight = new IntersectionObserver((entries) => {
      const now = entries.at(-1); // on a busy machine several moments come at once, oldest first
      this.inSight = now.isIntersecting;
      this.edge = now.intersectionRatio < 0.35;
      if (this.inSight && this.dirty) this.wanted();
    }, { threshold: [0, 0.35] });
    this.sight.observe(this.plot);
  }

  /** Milliseconds until it may be drawn: at once where it is seen, rarely where only its edge is. */
  due(now, hurried) {
    if (!this.dirty || !this.inSight) return Infinity;
    return this.edge && this.drawn && !hurried ? Math.max(0, this.drawn + AT_THE_EDGE - now) : 0;
  }

  want() {
    this.dirty = true;
    this.wanted();
  }

  /** Forget what a person zoomed to. */
  reset() {
    this.forget();
    this.want();
  }

  /** The same for another run; the picture stays until it is wanted, and comes in its turn then. */
  forget() {
    this.zoom = {};
    this.all.hidden = true;
    this.resets += 1; // Plotly keeps a person's range as long as `uirevision` is the same
    this.dirty = false;
    this.drawn = undefined;
  }

  /** Write the texts, and draw the chart where anything it shows has changed; whether it was drawn. */
  draw() {
    this.dirty = false;
    const context = this.context();
    if (context.awaited && !this.figure.layout.meta.steps) return false; // it comes with what is awaited
    this.write(context);
    const { Plotly } = context;
    const size = this.plot.getBoundingClientRect();
    if (!Plotly || size.width < 40) return false;
    const now = this.signature(context, size);
    if (now === this.shown) { this.mark(context.sides); return false; } // another step may look the same
    const traces = this.traces(context);
    for (const trace of traces) trace.name = context.names?.[trace.name] ?? trace.name;
    this.onLegend(entriesOf(traces));
    for (const trace of traces) if (trace.name) trace.name = escaped(trace.name);
    this.config ??= { ...CONFIG, modeBarButtons: buttons(Plotly, () => this.told()) };
    Plotly.react(this.plot, traces, this.layout(context, size, now), this.config);
    if (!this.listening) this.listen();
    this.mark(context.sides);
    this.plot.dataset.drawnAt = Date.now();
    this.shown = now;
    return true;
  }

  /** What the chart looks like depends on this alone. */
  signature({ sides, options, look, colours, end }, { width, height }) {
    const steps = this.figure.layout.meta.steps;
    const names = this.names.map((name) => named(name, options));
    const drawn = sides.map(({ run, ...side }) =>
      [side, run?.id, run?.stamp(names), steps && [run?.header.events, run?.header.steps_per_epoch]]);
    const common = [options, look, colours.text, Math.round(width), Math.round(height), this.resets, this.zoom];
    return JSON.stringify([drawn, common, steps && (end ?? axisEnd(sides, options.step_axis))]);
  }

  traces({ sides, options, colours, look }) {
    return filled(this.figure, sides, options, colours).map((trace) => {
      if (trace.colorbar) {
        trace.colorbar.tickfont = { size: look.px };
        trace.colorbar.title.font = { size: look.px };
      }
      return trace;
    });
  }

  layout(context, { width, height }, revision) {
    const { options, colours, look, sides } = context;
    const layout = structuredClone(this.figure.layout);
    const { when, steps } = layout.meta;
    for (const [choice, cases] of Object.entries(when)) {
      for (const [path, value] of Object.entries(cases[options[choice]])) set(layout, path, value);
    }
    delete layout.meta;
    const scale = look.px / this.figure.layout.font.size;
    const { l, r, b } = layout.margin;
    layout.margin = { l: scale * l, r: r > 40 ? scale * r : r, b: scale * b, t: 10 };
    layout.font = { size: look.px, color: colours.text, family: look.family };
    layout.showlegend = false; // ours stands outside the plot, so that words coming and going move nothing
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: colours.muted, activecolor: colours.text };
    layout.hoverlabel = {
      font: { size: look.px, color: colours.text, family: look.family },
      bgcolor: look.background, bordercolor: colours.muted,
    };
    for (const axis of ["xaxis", "yaxis"]) {
      Object.assign(layout[axis], { gridcolor: colours.grid, linecolor: colours.grid });
      layout[axis].title.font = { size: look.px };
    }
    if (steps) stepAxis(layout, context, this.figure.data[0].type === "heatmap");
    const room = height - layout.margin.b - layout.margin.t;
    const names = deepest(sides);
    if (layout.xaxis.type === "category") Object.assign(layout.xaxis, layers(names, 0.4));
    if (layout.yaxis.type === "category") {
      Object.assign(layout.yaxis, layers(names, 0.5), ticks(names, room, look.px));
    }
    layout.yaxis.dtick = roomy(layout.yaxis, room, look.px);
    for (const axis of ["xaxis", "yaxis"]) {
      const range = this.zoom[this.zoomed(axis, options)];
      if (!range) continue;
      const to = steps && axis === "xaxis" ? onAxis(options.step_axis) : (place) => place;
      Object.assign(layout[axis], { range: range.map(to), autorange: false });
    }
    const ids = sides.map(({ run }) => run?.id).join(",");
    layout.uirevision = `${layout.uirevision} ${ids} ${options.step_axis} ${options.depth} ${this.resets}`;
    return { ...layout, width, height, datarevision: revision };
  }

  /** What a file of this chart is called and headed, and where the server makes its page. */
  told() {
    const { sides, options, look, mode, end, at = null, told: { a, b } = {} } = this.context();
    const runs = sides.flatMap(({ run }) => run?.id ?? []);
    const asked = new URLSearchParams({ figure: this.plot.dataset.chart, runs: runs.join(","), mode });
    const { step_axis: axis, ...chosen } = options;
    for (const [name, value] of Object.entries({ axis, ...chosen })) asked.set(name, value);
    if (at !== null) asked.set("step", at);
    else if (end) asked.set("end", end);
    if (a) asked.set("a", a);
    if (b) asked.set("b", b);
    for (const { label, colour, dash, since = 0 } of sides) {
      if (!label) continue;
      for (const [name, value] of Object.entries({ label, colour, dash, since })) asked.append(name, value);
    }
    const name = [this.plot.dataset.chart, ...runs, ...(at === null ? [] : [`step-${at}`])].join("_").slice(0, 120);
    return {
      name: name.replace(/[^\w-]/g, "-"), title: escaped(this.title.textContent || runs.join(", ")),
      background: look.background, address: new URL(`figure.html?${asked}`, import.meta.url).href,
    };
  }

  listen() {
    this.listening = true;
    for (const svg of this.plot.querySelectorAll(".main-svg")) svg.setAttribute("aria-hidden", "true"); // its label says it
    this.plot.on("plotly_relayout", (changed) => this.keepZoom(changed));
    this.plot.on("plotly_doubleclick", () => this.reset());
  }

  /** What a zoom of an axis belongs to: steps, epochs and seconds are zoomed each by itself. */
  zoomed(axis, { step_axis, depth }) {
    if (axis === "yaxis") return axis;
    return `${axis} ${this.figure.layout.meta.steps ? step_axis.replace(/linear|log/, "steps") : depth}`;
  }

  keepZoom(changed) {
    const { options } = this.context();
    for (const axis of ["xaxis", "yaxis"]) {
      const place = this.zoomed(axis, options);
      if (changed[`${axis}.autorange`]) delete this.zoom[place];
      const range = changed[`${axis}.range`] ?? [changed[`${axis}.range[0]`], changed[`${axis}.range[1]`]];
      if (range[0] === undefined || range[1] === undefined) continue;
      const from = this.figure.layout.meta.steps && axis === "xaxis" ? offAxis(options.step_axis) : (x) => x;
      this.zoom[place] = range.map(from);
    }
    this.all.hidden = !Object.keys(this.zoom).length;
  }

  /** Texts around the chart, and its alternative text with the numbers of now. */
  write({ sides, options, told = {} }) {
    const { title, caption, alt, each } = this.figure.layout.meta;
    const names = deepest(sides);
    const numbers = sides[0]?.run?.header.alt;
    const words = {
      ...numbers, ...chosenWords(this.figure.layout.meta.words, options, numbers ?? {}),
      kind_title: capital(options.kind),
      part_title: capital(options.part ?? ""),
      part: options.part,
      layer_name: names[Math.min(options.layer, names.length) - 1] ?? options.layer,
      each: sides.map(({ run, label }) => replaced(each ?? "", { ...run?.header.alt, label })).join("; "),
      ...told,
    };
    put(this.title, replaced(title, words));
    put(this.caption, replaced(caption, words));
    put(this.aside, this.notes(sides, options));
    const any = sides.some(({ run }) => run?.seq);
    const said = any ? replaced(alt, words) : `${replaced(title, words)}: nothing to show yet.`;
    if (this.plot.getAttribute("aria-label") !== said) this.plot.setAttribute("aria-label", said);
  }

  /** What stands beside the chart: what the bins do not hold, what theory says; and which layer is meant where the networks differ in depth. */
  notes(sides, options) {
    const { aside, each, lead } = this.figure.layout.meta;
    if (!aside) return "";
    const beside = sides.flatMap(({ run, label }) => {
      const note = resolve(aside, run, options);
      return note.length ? [label && each ? `${label}: ${note}` : note] : [];
    });
    const depths = sides.flatMap(({ run, label }) => {
      const names = run?.get("layer_names");
      return names ? [`${names[rowOf(names.length, options)]} in ${label}`] : [];
    });
    if (!lead) return beside.join("; ");
    return [
      each && options.depth === "relative" ? `As deep, relatively: layer ${depths.join(", ")}.` : "",
      beside.length ? `${lead}: ${beside.join("; ")}.` : "",
    ].join(" ").trim();
  }

  mark(sides) {
    const headers = sides.map(({ run }) => run?.header ?? {});
    // What grows may be further than the rest while the moment of a replay is on its way.
    const own = ({ run }) => [run?.header.drawn_step, run?.get("steps")?.values.at(-1)];
    const steps = sides.map((side) => {
      const [told, grown] = own(side);
      return (this.figure.layout.meta.steps ? grown ?? told : told ?? grown) ?? -1;
    });
    const newest = Math.max(-1, ...steps);
    if (newest < 0) delete this.plot.dataset.step;
    else this.plot.dataset.step = newest;
    this.plot.dataset.run = sides.map(({ run }) => run?.id ?? "").join(",");
    this.plot.dataset.measuredAt = headers[steps.indexOf(newest)]?.measured_at ?? "";
  }

  remove(Plotly) {
    this.size.disconnect();
    this.sight.disconnect();
    Plotly?.purge(this.plot);
    this.frame.remove();
  }
}

/** The placeholders that depend on what a person chose: choice -> its value -> name -> text. */
function chosenWords(words, options, numbers) {
  const found = Object.entries(words).flatMap(([choice, cases]) => Object.entries(cases[options[choice]] ?? {}));
  return Object.fromEntries(found.map(([name, text]) => [name, replaced(text, numbers)]));
}

function capital(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function replaced(text, words) {
  return text.replace(/\{(\w+)\}/g, (_, name) => words[name] ?? "–");
}

/** The names of the layers of the deepest of the sides. */
function deepest(sides) {
  return sides.map(({ run }) => run?.get("layer_names") ?? []).reduce((a, b) => (b.length > a.length ? b : a), []);
}

/** An axis of all the layers from the start, so that the first number moves nothing. */
function layers(names, room) {
  if (!names.length) return {};
  return { categoryorder: "array", categoryarray: names, range: [-room, names.length - 1 + room], autorange: false };
}

/** As many names from the bottom up as there is room for; the output layer always has its own. */
function ticks(names, room, px) {
  if (!names.length) return { showticklabels: false };
  const every = Math.max(1, Math.ceil((names.length * 1.15 * px) / room));
  const last = names.length - 1;
  const shown = names.filter((_, place) => place === last || (place % every === 0 && place <= last - every));
  return { tickmode: "array", tickvals: shown, ticktext: shown };
}

/** The distance between two ticks, doubled until their labels have room. */
function roomy({ dtick, range }, room, px) {
  if (!dtick || !range) return dtick;
  const most = room / (1.25 * px);
  return dtick * 2 ** Math.max(0, Math.ceil(Math.log2((range[1] - range[0]) / dtick / most)));
}

function stepAxis(layout, { sides, options, colours, look, ticks, end }, overCells) {
  const axis = options.step_axis;
  const last = end ?? axisEnd(sides, axis);
  const to = onAxis(axis);
  const log = axis === "log";
  Object.assign(layout.xaxis, {
    range: [log ? -0.15 : -0.012 * last, to(last) * 1.01], autorange: false,
    tickmode: log ? "array" : "auto", tickvals: ticks.map(to),
    ticktext: ticks.map((step) => (step >= 1000 ? `${step / 1000}k` : String(step))),
  });
  const [low, high] = layout.xaxis.range;
  const places = new Map(sides.map(({ run }) => [run, placesOf(run, axis)]));
  const lines = told(sides, (run, step) => places.get(run)(step), colours.event);
  Object.assign(layout, drawn(lines, high - low, { size: look.px }, overCells && look.background));
}
