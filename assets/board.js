// What every live component has: Plotly, the theme, the projector's key, and when which chart is drawn.

import { put } from "./legend.js";
import { follow, isLarge, toggle } from "./projector.js";

const HERE = new URL(".", import.meta.url);
const HURRY = 400; // ms after a hand has moved something in which its charts come first
const BUDGET = 40; // ms of drawing at once, then
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

export function style(sheet) {
  const url = new URL(sheet, HERE).href;
  if (document.querySelector(`link[href="${url}"]`)) return;
  const link = document.createElement("link");
  Object.assign(link, { rel: "stylesheet", href: url });
  document.head.appendChild(link);
}

export function make(tag, className, parent) {
  const made = document.createElement(tag);
  made.className = className;
  return parent.appendChild(made);
}

/** Streamlit calls this when the component appears and again for every change of its data or of the
 *  theme; all state lives on the element, so nothing is made twice. */
export function mounted(Made, sheets, component) {
  const { parentElement } = component;
  sheets.forEach(style);
  parentElement.vgl ??= new Made(parentElement.querySelector(".vgl"));
  parentElement.vgl.update(component);
  return () => { parentElement.vgl?.stop(); parentElement.vgl = undefined; };
}

export class Board {
  constructor(root) {
    this.root = root;
    root.textContent = "";
    this.charts = [];
    this.projector = isLarge();
    this.unfollow = follow((large) => this.enlarge(large));
  }

  /** The line of words: what is going on, the connection, larger type. */
  makeLine() {
    const line = make("div", "vgl-line", this.root);
    this.words = make("span", "vgl-words", line);
    this.words.setAttribute("role", "status");
    this.connection = make("span", "vgl-connection", line);
    this.connection.setAttribute("role", "status");
    this.larger = make("button", "vgl-larger", line);
    this.larger.type = "button";
    this.larger.title = "Larger type for a projector (key p)";
    this.larger.textContent = "A+";
    this.larger.onclick = toggle;
  }

  showConnection(state, words) {
    this.root.dataset.feed = state;
    put(this.connection, words);
  }

  /** Take Plotly in as soon as it is there. */
  needPlotly() {
    loadPlotly(this.data.plotly).then(
      (Plotly) => { this.broken = false; if (!this.Plotly) { this.Plotly = Plotly; for (const chart of this.charts) chart.want(); } },
      (error) => this.complain(error.message),
    );
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

  complain(words) {
    this.broken = true;
    put(this.words, words);
    this.root.dataset.tone = "bad";
  }

  /** What a hand moves is drawn at once, without a rest between charts. */
  hurry() {
    this.hurryUntil = performance.now() + HURRY;
    clearTimeout(this.timer);
  }

  /** One chart per animation frame, the newest data each time; what is out of sight waits.
   *  Those that nothing has changed for are passed over. */
  schedule() {
    if (this.drawing || this.stopped) return;
    const now = performance.now();
    const hurried = now < this.hurryUntil;
    const wait = Math.min(...this.charts.map((chart) => chart.due(now, hurried)));
    if (wait === Infinity) return;
    clearTimeout(this.timer); // the earlier one may have waited for a chart that is in less of a hurry
    const rest = Math.max(wait, hurried ? 0 : (this.restUntil ?? 0) - now);
    this.timer = setTimeout(() => {
      this.drawing = true;
      if (hurried) this.drawOne(); // a frame later would be late
      else requestAnimationFrame(() => this.drawOne());
    }, rest);
  }

  drawOne() {
    this.drawing = false;
    if (this.stopped) return;
    const begun = performance.now();
    const hurried = begun < this.hurryUntil;
    const due = this.charts.filter((chart) => chart.due(begun, hurried) === 0);
    const sooner = (a, b) => (hurried ? a.edge - b.edge : 0) || (a.drawn ?? 0) - (b.drawn ?? 0);
    due.sort(sooner).some((chart) =>
      this.draws(chart) && (!hurried || performance.now() - begun > BUDGET));
    const now = performance.now();
    this.restUntil = now + 0.25 * (now - begun); // leave the page time for a person
    this.schedule();
  }

  draws(chart) {
    let drawn = true;
    try {
      drawn = chart.draw();
    } catch (error) { // one chart that cannot be drawn must not stop the others
      console.error(chart.plot.dataset.chart, error);
    }
    if (drawn) chart.drawn = performance.now();
    return drawn;
  }

  enlarge(large) {
    this.projector = large;
    if (!this.data) return; // nothing drawn yet
    this.theme();
    for (const chart of this.charts) chart.want();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.holding);
    this.feed?.stop();
    this.unfollow();
    for (const chart of this.charts) chart.remove(this.Plotly);
  }
}
