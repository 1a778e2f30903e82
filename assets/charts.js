// One Plotly chart, drawn in place from a figure that Python defined and arrays of the same names.

import { fromAxis, holdsAny, paint, resolve, set, toAxis } from "./bindings.js";

const CONFIG = {
  displaylogo: false, responsive: false, doubleClick: false,
  modeBarButtons: [["zoom2d", "pan2d", "toImage"]], // a double click shows all again
};
const AT_THE_EDGE = 1000; // ms between two drawings of a chart that is hardly in sight
const GROWTH = 2 ** 0.25; // the step axis grows by this factor at once, so it mostly stands still

function element(tag, className, parent) {
  const made = document.createElement(tag);
  made.className = className;
  return parent.appendChild(made);
}

export class Chart {
  /** context  () -> { Plotly, run, options, colours, look, ticks, live } of this moment */
  constructor(name, figure, parent, context, wanted) {
    this.figure = figure;
    this.context = context;
    this.zoom = {}; // axis -> range; of a step axis in steps, so it outlives a change of the axis
    this.resets = 0;
    const frame = element("figure", `vgl-chart vgl-${name.replaceAll("_", "-")}`, parent);
    const head = element("div", "vgl-head", frame);
    this.title = element("h3", "vgl-title", head);
    this.legend = element("div", "vgl-legend", head);
    this.all = element("button", "vgl-all", head);
    Object.assign(this.all, { type: "button", textContent: "Show all", hidden: true, onclick: () => this.reset() });
    this.plot = element("div", "vgl-plot", frame);
    this.plot.dataset.chart = name;
    this.plot.setAttribute("role", "img");
    this.caption = element("figcaption", "vgl-caption", frame);
    this.aside = element("p", "vgl-aside", frame);
    this.dirty = true;
    this.wanted = wanted;
    this.size = new ResizeObserver(() => this.want());
    this.size.observe(this.plot);
    this.sight = new IntersectionObserver(([entry]) => {
      this.inSight = entry.isIntersecting;
      this.edge = entry.intersectionRatio < 0.35;
      if (this.inSight && this.dirty) this.wanted();
    }, { threshold: [0, 0.35] });
    this.sight.observe(this.plot);
  }

  /** Milliseconds until it may be drawn: at once where it is seen, rarely where only its edge is. */
  due(now) {
    if (!this.dirty || !this.inSight) return Infinity;
    return this.edge && this.drawn ? Math.max(0, this.drawn + AT_THE_EDGE - now) : 0;
  }

  want() {
    this.dirty = true;
    this.wanted();
  }

  /** Forget what a person zoomed to. */
  reset() {
    this.zoom = {};
    this.all.hidden = true;
    this.resets += 1; // Plotly keeps a person's range as long as `uirevision` is the same
    this.want();
  }

  draw() {
    this.dirty = false;
    const context = this.context();
    this.write(context);
    const { Plotly } = context;
    const size = this.plot.getBoundingClientRect();
    if (!Plotly || size.width < 40) return;
    const traces = this.traces(context);
    const layout = this.layout(context, size);
    Plotly.react(this.plot, traces, layout, CONFIG);
    showLegend(this.legend, traces);
    if (!this.listening) this.listen();
    this.mark(context.run);
  }

  traces({ run, options, colours, look }) {
    return this.figure.data.map((trace) => {
      const filled = structuredClone(trace);
      const { fill, shown, paint: painted } = trace.meta;
      const visible = !shown || holdsAny(resolve(shown, run, options));
      for (const [path, binding] of Object.entries(fill)) {
        set(filled, path, visible ? resolve(binding, run, options) : []);
      }
      for (const [path, token] of Object.entries(painted)) set(filled, path, paint(path, token, colours));
      delete filled.meta;
      if (filled.colorbar) {
        filled.colorbar.tickfont = { size: look.px };
        filled.colorbar.title.font = { size: look.px };
      }
      return { ...filled, visible };
    });
  }

  layout(context, { width, height }) {
    const { options, colours, look, run } = context;
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
    for (const [axis, range] of Object.entries(this.zoom)) {
      const to = steps && axis === "xaxis" ? toAxis[options.step_axis] : (place) => place;
      Object.assign(layout[axis], { range: range.map(to), autorange: false });
    }
    layout.uirevision = `${layout.uirevision} ${run?.id} ${options.step_axis} ${this.resets}`;
    return { ...layout, width, height, datarevision: `${run?.seq} ${run?.id}` };
  }

  listen() {
    this.listening = true;
    this.plot.on("plotly_relayout", (changed) => this.keepZoom(changed));
    this.plot.on("plotly_doubleclick", () => this.reset());
  }

  keepZoom(changed) {
    const { options } = this.context();
    for (const axis of ["xaxis", "yaxis"]) {
      if (changed[`${axis}.autorange`]) delete this.zoom[axis];
      const range = changed[`${axis}.range`] ?? [changed[`${axis}.range[0]`], changed[`${axis}.range[1]`]];
      if (range[0] === undefined || range[1] === undefined) continue;
      const from = this.figure.layout.meta.steps && axis === "xaxis" ? fromAxis[options.step_axis] : (x) => x;
      this.zoom[axis] = range.map(from);
    }
    this.all.hidden = !Object.keys(this.zoom).length;
  }

  /** Texts around the chart, and its alternative text with the numbers of now. */
  write({ run, options }) {
    const { title, caption, alt, aside } = this.figure.layout.meta;
    const names = run?.get("layer_names") ?? [];
    const words = {
      ...run?.header.alt,
      kind_title: options.kind[0].toUpperCase() + options.kind.slice(1),
      layer_name: names[Math.min(options.layer, names.length) - 1] ?? options.layer,
    };
    const told = (text) => text.replace(/\{(\w+)\}/g, (_, name) => words[name] ?? "–");
    put(this.title, told(title));
    put(this.caption, told(caption));
    const beside = aside ? resolve(aside, run, options) : "";
    put(this.aside, beside.length ? `Beside the bins: ${beside}.` : "");
    this.plot.setAttribute("aria-label", run?.seq ? told(alt) : `${told(title)}: nothing to show yet.`);
  }

  mark(run) {
    const header = run?.header ?? {};
    if (header.drawn_step === undefined || header.drawn_step === null) delete this.plot.dataset.step;
    else this.plot.dataset.step = header.drawn_step;
    this.plot.dataset.run = run?.id ?? "";
    this.plot.dataset.measuredAt = header.measured_at ?? "";
    this.plot.dataset.drawnAt = Date.now();
  }

  remove(Plotly) {
    this.size.disconnect();
    this.sight.disconnect();
    Plotly?.purge(this.plot);
  }
}

/** Change a text only where it differs, so that a selection in it lives. */
export function put(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function stepAxis(layout, { run, options, colours, look, ticks }, overCells) {
  const header = run?.header ?? {};
  const to = toAxis[options.step_axis];
  const last = Math.max(header.step ?? 0, header.step === undefined ? 100 : 1);
  const open = header.status === "running";
  const end = open ? GROWTH ** Math.ceil(Math.log(Math.max(last, 16)) / Math.log(GROWTH)) : last;
  const log = options.step_axis === "log";
  Object.assign(layout.xaxis, {
    range: [log ? -0.15 : -0.012 * end, to(end) * 1.01], autorange: false,
    tickmode: log ? "array" : "auto", tickvals: ticks.map(to),
    ticktext: ticks.map((step) => (step >= 1000 ? `${step / 1000}k` : String(step))),
  });
  if (log) layout.xaxis.title.text = "step (logarithmic)";
  const events = header.events ?? [];
  layout.shapes = events.map(({ step }) => ({
    type: "line", x0: to(step), x1: to(step), y0: 0, y1: 1, yref: "paper",
    line: { color: colours.event, width: 2, dash: "dot" },
  }));
  layout.annotations = events.map(({ step, short, words }) => ({
    x: to(step), y: 1, yref: "paper", text: escaped(short), hovertext: escaped(words), showarrow: false,
    textangle: -90, xanchor: "left", yanchor: "top", font: { color: colours.event, size: look.px },
    bgcolor: overCells ? look.background : undefined, opacity: 0.85,
  }));
}

/** The words of the traces that are there, each once, beside their marks. */
function showLegend(place, traces) {
  const told = traces.filter(({ visible, name, showlegend }) => visible && name && showlegend !== false);
  const keys = [...new Map(told.map((trace) => [trace.name, keyOf(trace)]))];
  const signature = JSON.stringify(keys);
  if (place.dataset.signature === signature) return;
  place.dataset.signature = signature;
  place.textContent = "";
  for (const [name, { kind, colour, dash }] of keys) {
    const entry = element("span", "vgl-entry", place);
    const key = element("span", `vgl-key vgl-key-${kind}`, entry);
    key.style.setProperty("--colour", colour);
    if (dash) key.style.borderTopStyle = dash;
    element("span", "", entry).textContent = name;
  }
}

const DASHES = { dot: "dotted", dash: "dashed" };

function keyOf({ type, mode, colorscale, line, marker }) {
  if (type === "heatmap") return { kind: "cell", colour: colorscale[1][1] };
  if (mode === "markers") return { kind: "cross", colour: marker.color };
  return { kind: "line", colour: line.color, dash: DASHES[line.dash] };
}

/** Plotly reads tags in texts: a run's words must not make any. */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
