// The live component. Streamlit calls `mount` when it appears and again for every change of its
// data or of the theme; all state lives on the element, so nothing is made twice.

import { Chart, put } from "./charts.js";
import { Feed } from "./feed.js";
import { decode, RunState } from "./frames.js";

const HERE = new URL(".", import.meta.url);
const PROJECTOR = "vgl-projector";
const HOLD = 700; // ms that a run just opened has to bring numbers before it is drawn without
const WRONG_START = "This page was started without its live routes. Start it with: streamlit run app.py";

/** plotly.min.js from our own server. Started the wrong way, the server answers with a page instead. */
function loadPlotly(address) {
  window.__vglPlotly ??= (async () => {
    if (window.Plotly) return window.Plotly;
    const url = new URL(address, location.origin);
    const answer = await fetch(url);
    if (!(answer.headers.get("content-type") ?? "").includes("javascript")) throw new Error(WRONG_START);
    await answer.arrayBuffer(); // into the browser's cache
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = url;
      script.onload = resolve;
      script.onerror = () => reject(new Error("plotly.min.js did not load; reload the page."));
      document.head.appendChild(script);
    });
    return window.Plotly;
  })().catch((error) => { window.__vglPlotly = undefined; throw error; }); // the next mount tries again
  return window.__vglPlotly;
}

function style() {
  const url = new URL("live.css", HERE).href;
  if (document.querySelector(`link[href="${url}"]`)) return;
  const link = document.createElement("link");
  Object.assign(link, { rel: "stylesheet", href: url });
  document.head.appendChild(link);
}

function make(tag, className, parent) {
  const made = document.createElement(tag);
  made.className = className;
  return parent.appendChild(made);
}

class Live {
  constructor(root) {
    this.root = root;
    root.textContent = "";
    this.tiles = make("div", "vgl-tiles", root);
    this.progress = make("div", "vgl-progress", root);
    this.bar = make("div", "vgl-bar", this.progress);
    const line = make("div", "vgl-line", root);
    this.words = make("span", "vgl-words", line);
    this.words.setAttribute("role", "status");
    this.connection = make("span", "vgl-connection", line);
    this.connection.setAttribute("role", "status");
    this.larger = make("button", "vgl-larger", line);
    this.larger.type = "button";
    this.larger.title = "Larger type for a projector (key p)";
    this.larger.textContent = "A+";
    this.larger.onclick = () => this.toggleProjector();
    this.grid = make("div", "vgl-charts", root);
    this.charts = [];
    this.onKey = (event) => this.key(event);
    document.addEventListener("keydown", this.onKey);
    this.projector = localStorage.getItem(PROJECTOR) === "1";
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
    loadPlotly(data.plotly).then(
      (Plotly) => { this.broken = false; if (!this.Plotly) { this.Plotly = Plotly; for (const chart of this.charts) chart.want(); } },
      (error) => this.complain(error.message),
    );
  }

  /** Draw all charts anew; those of a run just opened wait a moment for its first numbers. */
  wantAll() {
    if (performance.now() < this.holdUntil) return;
    for (const chart of this.charts) chart.want();
  }

  build(figures) {
    this.figures = figures;
    for (const chart of this.charts) chart.remove(this.Plotly);
    this.grid.textContent = "";
    this.charts = Object.entries(this.data.figures).map(([name, figure]) =>
      new Chart(name, figure, this.grid, () => this.context(), () => this.schedule()));
  }

  context() {
    const { options, themes, ticks } = this.data;
    return { Plotly: this.Plotly, run: this.run, options, colours: themes[this.mode], look: this.look, ticks };
  }

  /** Light or dark by the page's own background, since a person may have made a theme of their own. */
  theme() {
    const styles = getComputedStyle(this.root);
    const probe = make("span", "", this.root);
    probe.style.color = styles.getPropertyValue("--st-background-color") || "#ffffff";
    const background = getComputedStyle(probe).color;
    const [red, green, blue] = background.match(/[\d.]+/g).map(Number);
    probe.remove();
    this.mode = 0.299 * red + 0.587 * green + 0.114 * blue < 128 ? "dark" : "light";
    const [usual, large] = this.data.font_px;
    const family = styles.getPropertyValue("--st-font") || "sans-serif";
    this.look = { px: this.projector ? large : usual, family, background };
    this.root.dataset.mode = this.mode;
    this.root.classList.toggle("vgl-large", this.projector);
    this.larger.setAttribute("aria-pressed", String(this.projector));
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
      run,
      seq: () => this.run.seq,
      onFrame: (buffer) => this.take(buffer),
      onState: (state, words) => { this.root.dataset.feed = state; put(this.connection, words); },
    });
  }

  take(buffer) {
    const frame = decode(buffer);
    if (frame.header.run !== this.run.id) return;
    if (!this.run.apply(frame)) { this.feed.again(); return; }
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

  complain(words) {
    this.broken = true;
    put(this.words, words);
    this.root.dataset.tone = "bad";
  }

  /** One chart per animation frame, the newest data each time; what is out of sight waits. */
  schedule() {
    if (this.drawing || this.stopped) return;
    const now = performance.now();
    const wait = Math.min(...this.charts.map((chart) => chart.due(now)));
    if (wait === Infinity) return;
    clearTimeout(this.timer); // the earlier one may have waited for a chart that is in less of a hurry
    const rest = Math.max(wait, (this.restUntil ?? 0) - now);
    this.timer = setTimeout(() => {
      this.drawing = true;
      requestAnimationFrame(() => this.drawOne());
    }, rest);
  }

  drawOne() {
    this.drawing = false;
    if (this.stopped) return;
    const begun = performance.now();
    const due = this.charts.filter((chart) => chart.due(begun) === 0);
    const [chart] = due.sort((a, b) => (a.drawn ?? 0) - (b.drawn ?? 0));
    if (chart) {
      try {
        chart.draw();
      } catch (error) { // one chart that cannot be drawn must not stop the others
        console.error(chart.plot.dataset.chart, error);
      }
      chart.drawn = performance.now();
      this.restUntil = chart.drawn + 0.25 * (chart.drawn - begun); // leave the page time for a person
    }
    this.schedule();
  }

  key(event) {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable], [role=combobox]");
    if (event.key !== "p" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    this.toggleProjector();
  }

  toggleProjector() {
    this.projector = !this.projector;
    localStorage.setItem(PROJECTOR, this.projector ? "1" : "0");
    this.theme();
    for (const chart of this.charts) chart.want();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.holding);
    this.feed?.stop();
    document.removeEventListener("keydown", this.onKey);
    for (const chart of this.charts) chart.remove(this.Plotly);
  }
}

export function mount(component) {
  const { parentElement } = component;
  style();
  parentElement.vgl ??= new Live(parentElement.querySelector(".vgl"));
  parentElement.vgl.update(component);
  return () => { parentElement.vgl?.stop(); parentElement.vgl = undefined; };
}
