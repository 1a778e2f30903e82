// The Lab's live component: the row of figures and the charts of one run.

import { axisEnd } from "./bindings.js";
import { Board, make, mounted } from "./board.js";
import { Chart } from "./charts.js";
import { Cut } from "./cuts.js";
import { Feed } from "./feed.js";
import { Findings } from "./findings.js";
import { decode, RunState } from "./frames.js";
import { put } from "./legend.js";
import { Moments } from "./moments.js";
import { Scrubber } from "./scrubber.js";

const HOLD = 700; // ms that a run just opened has to bring numbers before it is drawn without
const FIRST = ["gradient_heatmap", "gradient_by_depth"]; // charts above the findings
const SETTLE = 400; // ms that a step stands still before the link is told of it

class Live extends Board {
  constructor(root) {
    super(root);
    this.tiles = make("div", "vgl-tiles", root);
    this.progress = make("div", "vgl-progress", root);
    this.bar = make("div", "vgl-bar", this.progress);
    this.makeLine();
    this.findings = new Findings(root, (remedy) => this.switchOn(remedy));
    this.scrubber = new Scrubber(root, (step, playing) => this.moved(step, playing));
    this.grid = make("div", "vgl-charts", root);
    this.told = null; // the step that Python was told of last
    this.at = null; // the step that is shown; null is the newest
    this.path = location.pathname;
    this.addressed = () => this.data && !this.stopped && this.openDue();
    window.navigation?.addEventListener("currententrychange", this.addressed);
    this.presented = null; // what the presenter shows, where this page follows
    this.shows = ({ detail }) => this.present(detail);
    window.addEventListener("vgl-shown", this.shows);
  }

  /** Take what Python says now. Only another run opens another feed; nothing rebuilds a chart. */
  update({ data: [data], setStateValue }) {
    const before = this.data;
    const figures = JSON.stringify([data.figures, data.hidden]);
    this.setStateValue = setStateValue;
    this.data = this.presented ? { ...data, options: this.presented.options } : data;
    this.theme();
    if (figures !== this.figures) this.build(figures);
    if (!this.openDue() && data.run === this.run?.id) {
      if (this.presented) { /* what Python says may be older than what is shown */ }
      else if (data.run === before.run ? data.step !== before.step : data.step !== null) this.follow(data.step);
      if (data.run !== before.run) this.report();
    }
    this.showHeader();
    this.wantAll();
    this.needPlotly();
    clearTimeout(this.checking); // what changed while Python drew comes with no further frame, where the run waits
    this.checking = setTimeout(() => !this.stopped && this.run && this.report(), HOLD);
  }

  /** Draw all charts anew; those of a run just opened wait a moment for its first numbers. */
  wantAll() {
    if (performance.now() < this.holdUntil) return;
    for (const chart of this.charts) chart.want();
  }

  build(figures) {
    this.figures = figures;
    for (const chart of this.charts) chart.remove(this.Plotly);
    const { hidden } = this.data;
    const shown = Object.entries(this.data.figures).filter(([name]) => !hidden.includes(name));
    this.charts = shown.map(([name, figure]) =>
      new Chart({ name, figure, parent: this.grid, context: () => this.context(), wanted: () => this.schedule() }));
    const [third] = shown.flatMap(([name], index) => (FIRST.includes(name) ? [] : [this.charts[index].frame]));
    this.grid.insertBefore(this.findings.place, third ?? null);
    this.root.dataset.hidden = hidden.join(" ");
  }

  context() {
    const { options, themes, ticks } = this.data;
    const { Plotly, mode, look } = this;
    const common = { Plotly, options, colours: themes[mode], mode, look, ticks };
    if (this.at === null) return { ...common, sides: [{ run: this.run }] };
    const sides = [{ run: this.shown }];
    const end = axisEnd([{ run: this.run }], options.step_axis); // the axis stands while the pictures move
    const names = { newest: `step ${(this.moment?.step ?? this.at).toLocaleString("en")}` };
    return { ...common, sides, end, names, at: this.at, awaited: !this.moment };
  }

  /** Show what the presenter shows, by her link, before Python has drawn the page for it; null: no longer. */
  present(shown) {
    if (!this.data?.linked || this.stopped || (shown && shown.path !== this.path)) return;
    this.presented = shown && presentedBy(shown.search);
    if (!this.presented) return;
    this.data = { ...this.data, options: this.presented.options };
    const { step } = this.presented;
    if (!this.openDue()) {
      if (!this.run?.seq) this.wanted = step;
      else if (step !== this.at) this.go(step);
    }
    this.showHeader();
    this.wantAll();
  }

  /** Open the run that is to be shown, where that is another; whether it is.
   *  Train writes the new run into the link at once, while Python tells of it with a whole page to redraw:
   *  by then its first numbers are here. Without the Navigation API they come after that. */
  openDue() {
    const named = this.data.linked && location.pathname === this.path;
    const linked = (named && new URLSearchParams(location.search).getAll("run").at(-1)) || this.data.run;
    const run = this.presented ? this.presented.run : linked;
    if (this.run !== undefined && run === (this.run?.id ?? null)) return false;
    this.open(run);
    this.showHeader();
    this.wantAll();
    return true;
  }

  open(run) {
    this.feed?.stop();
    this.feed = null;
    this.reported = null;
    this.run = run ? new RunState(run) : null;
    this.moments?.stop();
    this.moments = run ? new Moments(run, (moment) => this.took(moment), (words) => this.lacks(words)) : null;
    this.scrubber.clear();
    this.findings.clear();
    const named = this.presented ?? (run === this.data.run ? this.data : { step: null });
    this.wanted = named.step; // until the first numbers are there
    this.echoes = [];
    this.see(null);
    for (const chart of this.charts) chart.forget();
    clearTimeout(this.holding);
    this.holdUntil = run ? performance.now() + HOLD : 0;
    if (!run) return;
    this.holding = setTimeout(() => { this.holdUntil = 0; this.wantAll(); }, HOLD);
    this.feed = new Feed({
      subjects: [run],
      seq: () => this.run.seq,
      onFrame: (buffer) => this.take(buffer),
      onState: (state, words) => this.showConnection(state, words),
    });
  }

  take(buffer) {
    const frame = decode(buffer);
    if (frame.header.run !== this.run.id) return;
    if (!this.run.apply(frame)) { this.feed.again(this.run.id); return; }
    this.know();
    this.showHeader();
    this.report();
    const measured = (this.run.header.drawn_step ?? null) !== null;
    if (!measured && performance.now() < this.holdUntil) return;
    const first = this.holdUntil > 0;
    this.holdUntil = 0;
    for (const chart of this.charts) chart.dirty = true;
    if (first) this.drawOne(); // now, because the page may be about to be redrawn
    else this.schedule();
  }

  /** The recorded steps are the scrubber's; the first ones tell whether the link's step is among them. */
  know() {
    const { events = [], open } = this.run.header;
    const values = (name) => this.run.get(name)?.values ?? [];
    this.scrubber.know(values("steps"), values("record_seconds"), events, open);
    if (this.wanted === undefined || !values("steps").length) return;
    this.go(this.wanted);
    this.wanted = undefined;
  }

  /** Show the recorded step that is nearest to one; the newest where none is named. */
  go(step) {
    const { steps } = this.scrubber;
    const past = step !== null && steps.length && step < steps.at(-1);
    this.scrubber.move(past ? steps[this.scrubber.nearest(step)] : null);
  }

  /** The link has another step: where that is no echo of what was told, somebody has gone back. */
  follow(step) {
    const echo = this.echoes.indexOf(step);
    if (echo >= 0) this.echoes.splice(0, echo + 1);
    else if (this.run?.seq) this.go(step);
    else this.wanted = step;
  }

  /** A hand, or the replay, is at another step; null is the newest. */
  moved(step, playing) {
    this.fault = "";
    const moment = this.moments?.at(step);
    this.see(step, step === null ? null : moment ?? this.moment);
    clearTimeout(this.settling);
    if (this.presented) this.told = step; // in the link that Python is about to get
    else if (!playing) this.settling = setTimeout(() => this.tell(), SETTLE);
  }

  took(moment) {
    if (this.at !== null) this.see(this.at, moment);
  }

  lacks(words) {
    this.fault = words;
    this.showHeader();
  }

  see(step, moment = null) {
    Object.assign(this, { at: step, moment });
    this.shown = step === null ? this.run : new Cut(this.run, { until: step, moment });
    if (step === null) delete this.root.dataset.at;
    else this.root.dataset.at = step;
    if (!this.run?.seq) return;
    this.showHeader();
    this.hurry();
    this.wantAll();
  }

  /** Tell Python of the step, for the link and for whoever branches from here. */
  tell() {
    if (this.stopped || this.at === this.told) return;
    this.told = this.at;
    this.echoes.push(this.at);
    this.setStateValue("at", this.at);
  }

  /** Tell Python of a remedy to switch on: in the settings, so that Train starts this run with it. */
  switchOn(remedy) {
    this.setStateValue("remedy", { run: this.run.id, remedy, at: Date.now() });
  }

  /** Tell Python of a change of status and of the first step, once: it reruns the page then. */
  report() {
    const { status, step } = this.run.header;
    if (!status || this.data.run !== this.run.id) return; // Python has yet to hear of this run
    const news = { status, begun: step > 0, changes: this.run.header.changes ?? 0 };
    const told = JSON.stringify(news);
    const known = JSON.stringify(this.data.known);
    if (told === known) this.reported = null;
    if (told === known || told === this.reported) return;
    this.reported = told;
    const run = this.run.id;
    // The page redraws for this; a run that has just begun shows its first numbers before that.
    setTimeout(() => {
      if (this.reported !== told || this.run?.id !== run || JSON.stringify(this.data.known) === told) return;
      this.setStateValue("status", { run, ...news });
    }, status === "running" ? HOLD : 0);
  }

  showHeader() {
    const header = this.shown?.header ?? {};
    this.showTiles(header.tiles ?? this.data.no_tiles);
    this.bar.style.width = `${100 * (header.progress ?? 0)}%`;
    this.progress.hidden = !this.run;
    const { hidden, invitation } = this.data;
    this.tiles.hidden = hidden.includes("tiles");
    this.scrubber.place.hidden = hidden.includes("replay");
    this.findings.show(header.findings ?? [], {
      ready: this.data.ready ?? [], offers: this.data.offers ?? false, hidden: hidden.includes("diagnosis"), run: this.run,
      open: header.open,
    });
    const line = this.fault || header.line;
    if (!this.broken) put(this.words, header.error ?? line ?? (this.run ? "" : invitation));
    this.root.dataset.status = header.error ? "error" : header.status ?? "none";
    this.root.dataset.tone = header.error || this.fault ? "bad" : header.tone ?? "plain";
  }

  stop() {
    super.stop();
    window.navigation?.removeEventListener("currententrychange", this.addressed);
    window.removeEventListener("vgl-shown", this.shows);
    this.scrubber.pause();
    this.moments?.stop();
    clearTimeout(this.settling);
  }

  showTiles(tiles) {
    while (this.tiles.children.length < tiles.length) {
      const tile = make("div", "vgl-tile", this.tiles);
      for (const part of ["label", "value", "detail"]) make("div", `vgl-${part}`, tile);
    }
    tiles.forEach((tile, index) => {
      const place = this.tiles.children[index];
      ["label", "value", "detail"].forEach((part, row) => put(place.children[row], tile[part]));
      if (place.title !== tile.title) place.title = tile.title;
      place.dataset.tile = tile.label;
    });
  }
}

/** What a link of the Lab says of its charts; what it does not say is as at first. */
function presentedBy(search) {
  const said = new URLSearchParams(search);
  const step = said.get("step");
  return {
    run: said.getAll("run").at(-1) || null,
    step: step === null ? null : Number(step),
    options: {
      kind: said.get("kind") ?? "gradient",
      layer: Number(said.get("layer") ?? 1),
      step_axis: said.get("axis") ?? "linear",
      profile: said.get("profile") ?? "signal",
    },
  };
}

export function mount(component) {
  return mounted(Live, ["live.css", "findings.css"], component);
}
