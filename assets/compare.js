// The Compare page's live component: contenders side by side on the same axes and colours.

import { axisEnd } from "./bindings.js";
import { Board, make, mounted } from "./board.js";
import { Chart } from "./charts.js";
import { seen } from "./cuts.js";
import { Feed } from "./feed.js";
import { apart, brief } from "./findings.js";
import { decode, RunState } from "./frames.js";
import { drawKey, put, showLegend } from "./legend.js";
import { Table } from "./table.js";

const HOLD = 700; // ms that contenders just opened have to bring numbers before they are drawn without

const BANDS = " Shaded: the middle half of the seeds; paler: lowest to highest.";
const NEWS = 300; // ms in which several runs may be changed by one press
const HEADS = 100; // ms between two looks at what the words say

class Compare extends Board {
  constructor(root) {
    super(root);
    this.states = new Map(); // subject -> RunState
    this.heads = new Map(); // contender -> what stands above its heatmap
    this.marks = new Map(); // contender -> legend of its heatmap
    root.classList.add("vgl-comparison");
    this.makeLine();
    this.invitation = make("p", "vgl-invitation", root);
    this.scale = make("div", "vgl-scale", root);
    this.common = make("p", "vgl-common", root);
    this.grid = make("div", "vgl-charts vgl-compare", root);
    this.table = new Table(this.grid);
    this.presented = null; // options that the presenter has chosen, where this page follows
    this.shows = ({ detail }) => this.present(detail);
    window.addEventListener("vgl-shown", this.shows);
  }

  /** Show what the presenter shows, by her link, as far as the charts can do it without Python; null: no longer. */
  present(shown) {
    if (!this.data || this.stopped || (shown && (shown.path !== location.pathname || !shown.path.endsWith("/compare")))) return;
    this.presented = shown && presentedBy(shown.search);
    if (!this.presented) return;
    this.data = { ...this.data, options: { ...this.data.options, ...this.presented } };
    this.wantAll();
  }

  /** Take what Python says now. Only other subjects open another feed; charts of who stays, stay. */
  update({ data: [data], setStateValue }) {
    const before = this.data;
    this.setStateValue = setStateValue;
    this.data = this.presented ? { ...data, options: { ...data.options, ...this.presented } } : data;
    this.contenders = data.contenders.map((own) => ({ ...own, run: this.state(own.id) }));
    this.theme();
    this.build();
    if (JSON.stringify(data.subjects) !== JSON.stringify(before?.subjects)) this.open(data.subjects);
    if (data.known_open !== before?.known_open) this.reported = undefined;
    if (JSON.stringify(data.contenders) !== JSON.stringify(before?.contenders)) this.toldNews = undefined;
    this.showHeads();
    this.report();
    this.wantAll();
    this.needPlotly();
  }

  state(subject) {
    if (!this.states.has(subject)) this.states.set(subject, new RunState(subject));
    return this.states.get(subject);
  }

  /** Charts in the order of the page; those that were there already keep their nodes and their zoom. */
  build() {
    const { figures, contenders, difference, table, invitation, hidden = [] } = this.data;
    const wanted = contenders.length
      ? [
        ...contenders.map(({ id }) => ["gradient_heatmap", id]),
        ["gradient_by_depth", ""],
        ...(difference ? [["difference_heatmap", difference]] : []),
        ...["layer_histogram", "loss", "accuracy"].map((name) => [name, ""]),
      ].filter(([name]) => !hidden.includes(name))
      : [];
    const there = new Map(this.charts.map((chart) => [chart.key, chart]));
    this.charts = wanted.map(([name, subject]) => {
      const key = name === "gradient_heatmap" ? `${name} ${subject}` : name;
      const chart = there.get(key) ?? this.makeChart(name, subject, figures[name]);
      there.delete(key);
      this.grid.append(chart.frame);
      return Object.assign(chart, { key });
    });
    for (const chart of there.values()) chart.remove(this.Plotly);
    const ids = new Set(contenders.map(({ id }) => id));
    for (const kept of [this.heads, this.marks]) for (const id of kept.keys()) if (!ids.has(id)) kept.delete(id);
    this.grid.dataset.count = contenders.length;
    this.scale.hidden = !contenders.length || hidden.includes("gradient_heatmap");
    this.grid.hidden = !contenders.length && !table;
    this.root.dataset.hidden = hidden.join(" ");
    put(this.invitation, contenders.length || table ? "" : invitation);
    this.invitation.hidden = Boolean(contenders.length || table);
    this.drawScale();
  }

  makeChart(name, subject, figure) {
    const chart = new Chart({
      name, figure, subject, parent: this.grid, wanted: () => this.schedule(),
      context: () => this.context(name, subject),
      onLegend: name === "gradient_heatmap" ? (entries) => this.showMarks(subject, entries) : undefined,
    });
    if (name === "gradient_heatmap") this.heads.set(subject, makeHead(chart.head));
    return chart;
  }

  context(name, subject) {
    const { options, themes, ticks } = this.data;
    const sides = {
      gradient_heatmap: () => this.contenders.filter(({ id }) => id === subject),
      difference_heatmap: () => [{ run: this.state(this.data.difference) }],
    }[name]?.() ?? this.contenders;
    const { Plotly, mode, look } = this;
    const [a, b] = this.contenders.map(({ label }) => label);
    const common = { Plotly, options, colours: themes[mode], mode, look, ticks };
    const bands = this.contenders.some(({ run }) => run.header.seeds?.of > 1) ? BANDS : "";
    const told = { a, b, bands, line: sides[0]?.run.header.line ?? "" };
    return { ...common, sides: seen(sides), end: axisEnd(this.contenders, options.step_axis), told };
  }

  open(subjects) {
    this.feed?.stop();
    this.feed = null;
    clearTimeout(this.holding);
    for (const subject of this.states.keys()) if (!subjects.includes(subject)) this.states.delete(subject);
    const news = this.contenders.some(({ run }) => !run.seq);
    this.holdUntil = news ? performance.now() + HOLD : 0;
    if (!subjects.length) return;
    if (news) this.holding = setTimeout(() => { this.holdUntil = 0; this.wantAll(); }, HOLD);
    this.feed = new Feed({
      subjects,
      seq: (subject) => this.state(subject).seq,
      onFrame: (buffer) => this.take(buffer),
      onState: (state, words) => this.showConnection(state, words),
    });
  }

  take(buffer) {
    const frame = decode(buffer);
    const state = this.states.get(frame.header.run);
    if (!state) return;
    if (!state.apply(frame)) { this.feed.again(state.id); return; }
    this.report();
    this.tellNews();
    this.wantHeads();
    if (this.contenders.every(({ run }) => run.seq)) this.holdUntil = 0;
    this.wantAll();
  }

  /** Draw what has changed; contenders just opened wait a moment for their first numbers. */
  wantAll() {
    if (performance.now() < this.holdUntil) return;
    for (const chart of this.charts) chart.dirty = true;
    this.schedule();
  }

  /** Tell Python, once, when all have ended or something runs again: it reruns the page then. */
  report() {
    const { table, known_open } = this.data;
    const states = [...this.contenders.map(({ run }) => run), ...(table ? [this.state(table)] : [])];
    if (!states.length || !states.every(({ seq, header }) => seq || header.error)) return;
    const open = states.some(({ header }) => isOpen(header));
    this.root.dataset.open = open;
    if (open === known_open || open === this.reported) return;
    this.reported = open;
    // The page redraws for this; what has just begun shows its first numbers before that.
    setTimeout(() => this.reported === open && !this.stopped && this.setStateValue("open", open), open ? HOLD : 0);
  }

  /** Tell Python, once, where a run stands otherwise than the page says: paused, changed. */
  tellNews() {
    const news = this.contenders.flatMap(({ run: { id, seq, header }, status, changes }) => {
      const alone = seq && !header.error && !(header.seeds?.of > 1);
      const same = header.status === status && (header.changes ?? 0) === changes;
      return alone && !same ? [[id, header.status, header.changes ?? 0]] : [];
    });
    const told = JSON.stringify(news);
    if (!news.length || told === this.toldNews) return;
    this.toldNews = told;
    setTimeout(() => this.toldNews === told && !this.stopped && this.setStateValue("news", news), NEWS);
  }

  /** Words change with every frame of every contender; a person reads them a few times a second. */
  wantHeads() {
    this.telling ??= setTimeout(() => { this.telling = undefined; if (!this.stopped) this.showHeads(); }, HEADS);
  }

  showHeads() {
    const { table, difference } = this.data;
    const faults = [];
    this.showFindings();
    for (const { id, label, run, ...key } of this.contenders) {
      const { error, state = "", progress = 0, tone } = run.header;
      if (error) faults.push(`${label}: ${error}`);
      const head = this.heads.get(id);
      if (!head) continue; // hidden
      drawKey(head.key, { kind: "line", ...key });
      put(head.label, label);
      put(head.state, error ? "not shown" : state);
      head.state.title = error ?? state;
      head.bar.style.width = `${100 * progress}%`;
      head.place.dataset.tone = error ? "bad" : tone ?? "plain";
    }
    const others = [difference, table].filter(Boolean).map((subject) => this.state(subject).header);
    if (!faults.length) faults.push(...others.flatMap(({ error }) => error ?? []));
    if (!this.broken) put(this.words, faults.join(" "));
    this.root.dataset.tone = faults.length ? "bad" : "plain";
    this.table.show(table, table ? this.state(table).header : {}, this.contenders);
  }

  /** Above each heatmap what is found in its contender and not in all; what is found in all, once. */
  showFindings() {
    const { common, own } = apart(this.contenders.map(({ run }) => run.header.findings ?? []));
    this.common.hidden = this.contenders.length < 2 || this.data.hidden?.includes("diagnosis");
    brief(this.common, common);
    this.contenders.forEach(({ id }, index) => {
      const head = this.heads.get(id);
      if (head) brief(head.findings, own[index]);
    });
  }

  stop() {
    super.stop();
    window.removeEventListener("vgl-shown", this.shows);
  }

  /** One colour scale for all heatmaps, as wide as its words need. */
  drawScale() {
    const { title, stops, ticks, words } = this.data.scale;
    if (this.scaleWords) { put(this.scaleWords, words); return; }
    make("span", "vgl-scale-title", this.scale).textContent = title;
    const bar = make("div", "vgl-scale-bar", this.scale);
    const colours = stops.map(([place, colour]) => `${colour} ${100 * place}%`);
    make("div", "vgl-scale-colours", bar).style.background = `linear-gradient(90deg, ${colours.join(", ")})`;
    for (const [place, text] of ticks) {
      const tick = make("span", "vgl-scale-tick", bar);
      tick.style.left = `${100 * place}%`;
      tick.textContent = text;
    }
    this.markWords = make("div", "vgl-legend", this.scale);
    this.scaleWords = make("p", "vgl-scale-words", this.scale);
    put(this.scaleWords, words);
  }

  /** The marks that occur in any heatmap, beside the scale. */
  showMarks(contender, entries) {
    this.marks.set(contender, entries);
    showLegend(this.markWords, new Map([...this.marks.values()].flatMap((some) => [...some])));
  }
}

/** What a link of the Compare page says of its charts; what it does not say is as at first. */
function presentedBy(search) {
  const said = new URLSearchParams(search);
  return {
    kind: said.get("histograms") ?? "gradient",
    layer: Number(said.get("histogram_layer") ?? 1),
    part: said.get("part") ?? "validation",
  };
}

/** Colour key, label, state and progress above a heatmap. */
function makeHead(parent) {
  const place = make("div", "vgl-side", parent);
  parent.prepend(place);
  const first = make("div", "vgl-side-name", place);
  const head = { place, key: make("span", "", first), label: make("span", "vgl-side-label", first) };
  head.state = make("div", "vgl-side-state", place);
  head.findings = make("div", "vgl-side-findings", place);
  head.bar = make("div", "vgl-bar", make("div", "vgl-progress", place));
  return head;
}

function isOpen({ status, seeds, open }) {
  return Boolean(open) || status === "queued" || status === "running" || (seeds?.running ?? 0) + (seeds?.waiting ?? 0) > 0;
}

export function mount(component) {
  return mounted(Compare, ["live.css", "compare.css", "table.css", "findings.css"], component);
}
