// The Lab's live component: the row of figures and the charts of one run.

import { Board, make, mounted } from "./board.js";
import { Chart } from "./charts.js";
import { Feed } from "./feed.js";
import { decode, RunState } from "./frames.js";
import { put } from "./legend.js";

const HOLD = 700; // ms that a run just opened has to bring numbers before it is drawn without

class Live extends Board {
  constructor(root) {
    super(root);
    this.tiles = make("div", "vgl-tiles", root);
    this.progress = make("div", "vgl-progress", root);
    this.bar = make("div", "vgl-bar", this.progress);
    this.makeLine();
    this.grid = make("div", "vgl-charts", root);
  }

  /** Take what Python says now. Only another run opens another feed; nothing rebuilds a chart. */
  update({ data: [data], setStateValue }) {
    const newRun = !this.data || data.run !== this.data.run;
    const figures = JSON.stringify(data.figures);
    this.setStateValue = setStateValue;
    this.data = data;
    this.theme();
    if (figures !== this.figures) this.build(figures);
    if (newRun) this.open(data.run);
    this.showHeader();
    this.wantAll();
    this.needPlotly();
  }

  /** Draw all charts anew; those of a run just opened wait a moment for its first numbers. */
  wantAll() {
    if (performance.now() < this.holdUntil) return;
    for (const chart of this.charts) chart.want();
  }

  build(figures) {
    this.figures = figures;
    for (const chart of this.charts) chart.remove(this.Plotly);
    this.charts = Object.entries(this.data.figures).map(([name, figure]) =>
      new Chart({ name, figure, parent: this.grid, context: () => this.context(), wanted: () => this.schedule() }));
  }

  context() {
    const { options, themes, ticks } = this.data;
    const sides = [{ run: this.run }];
    return { Plotly: this.Plotly, sides, options, colours: themes[this.mode], look: this.look, ticks };
  }

  open(run) {
    this.feed?.stop();
    this.feed = null;
    this.reported = null;
    this.run = run ? new RunState(run) : null;
    for (const chart of this.charts) chart.reset();
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
    this.showHeader();
    this.report();
    const measured = (this.run.header.drawn_step ?? null) !== null;
    if (!measured && performance.now() < this.holdUntil) return;
    this.holdUntil = 0;
    for (const chart of this.charts) chart.dirty = true;
    this.schedule();
  }

  /** Tell Python of a change of status and of the first step, once: it reruns the page then. */
  report() {
    const { status, step } = this.run.header;
    if (!status) return;
    const news = { status, begun: step > 0 };
    const told = JSON.stringify(news);
    if (told === JSON.stringify(this.data.known) || told === this.reported) return;
    this.reported = told;
    const run = this.run.id;
    // The page redraws for this; a run that has just begun shows its first numbers before that.
    setTimeout(() => {
      if (this.reported === told && this.run?.id === run) this.setStateValue("status", { run, ...news });
    }, status === "running" ? HOLD : 0);
  }

  showHeader() {
    const header = this.run?.header ?? {};
    this.showTiles(header.tiles ?? this.data.no_tiles);
    this.bar.style.width = `${100 * (header.progress ?? 0)}%`;
    this.progress.hidden = !this.run;
    if (!this.broken) put(this.words, header.error ?? header.line ?? (this.run ? "" : this.data.invitation));
    this.root.dataset.status = header.error ? "error" : header.status ?? "none";
    this.root.dataset.tone = header.error ? "bad" : header.tone ?? "plain";
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

export function mount(component) {
  return mounted(Live, ["live.css"], component);
}
