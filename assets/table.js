// The live table of outcomes: one row per contender, sorted by any column, its cells updated in place.

import { drawKey, put } from "./legend.js";

const FIRST = [
  { name: "label", title: "Contender", help: "What was trained" },
  { name: "state", title: "State", help: "Waiting, training or how it ended" },
];
const SEEDS = { name: "seeds", title: "Seeds", help: "Runs of the same configuration that differ in the seed alone" };
const WAKE = {
  name: "wake", title: "Layers wake at step",
  help: "First recorded step at which the layer's update exceeds 1e-4 of its weight",
};
const ORDERS = { "": "ascending", ascending: "descending", descending: "" }; // what a click makes of it
const ARROWS = { ascending: " ▲", descending: " ▼", none: "" };

function make(tag, className, parent) {
  const made = document.createElement(tag);
  made.className = className;
  return parent.appendChild(made);
}

export class Table {
  constructor(parent) {
    this.frame = make("section", "vgl-table-frame", parent);
    this.frame.hidden = true;
    const head = make("div", "vgl-head", this.frame);
    make("h3", "vgl-title", head).textContent = "In numbers";
    this.left = make("span", "vgl-left", head);
    this.download = make("a", "vgl-download", head);
    Object.assign(this.download, { textContent: "Download CSV", download: "comparison.csv" });
    const place = make("div", "vgl-scroll", this.frame);
    Object.assign(place, { tabIndex: 0, role: "region", ariaLabel: "Outcomes of the contenders" });
    const table = make("table", "vgl-table", place);
    this.top = make("tr", "", make("thead", "", table));
    this.body = make("tbody", "", table);
    this.notes = make("div", "vgl-notes", this.frame);
    this.rows = new Map(); // id -> its <tr>
    this.sorting = { by: "", order: "" };
  }

  /** subject  "table:A:B" or "" for none; header  as ui/outcome_table.py tells; keys  [{ id, label, colour, ... }] */
  show(subject, header, keys) {
    this.frame.hidden = !subject;
    this.keys = new Map(keys.map((key) => [key.id, key]));
    this.header = header;
    if (!subject) return;
    const address = `/live/table.csv?rows=${encodeURIComponent(subject.replace(/^table:/, ""))}`;
    if (this.download.getAttribute("href") !== address) this.download.href = address;
    this.frame.style.minHeight = `${42 + 36 * (1 + keys.length)}px`; // what is below need not move
    put(this.left, header.time_left ? `All done in about ${header.time_left.replace(" left", "")}.` : "");
    if (!header.rows) return;
    this.columns = [...FIRST, ...(this.anySeeds() ? [SEEDS] : []), ...header.columns, WAKE];
    this.showTop();
    this.showRows();
    this.showNotes();
  }

  /** A sentence with the labels that this page has for the contenders. */
  relabelled(sentence) {
    const labels = new Map(this.header.rows.map(({ id, label }) => [label, this.keys.get(id)?.label ?? label]));
    const known = [...labels.keys()].filter(Boolean).sort((a, b) => b.length - a.length);
    if (!known.length) return sentence;
    const any = known.map((label) => label.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    return sentence.replace(new RegExp(any, "g"), (label) => labels.get(label));
  }

  anySeeds() {
    return this.header.rows.some(({ seeds }) => countOf(seeds) > 1);
  }

  showTop() {
    const signature = JSON.stringify(this.columns);
    if (signature !== this.signature) {
      this.signature = signature;
      this.top.textContent = "";
      for (const { name, title, help } of this.columns) {
        const cell = make("th", "", this.top);
        Object.assign(cell, { scope: "col", title: help });
        cell.dataset.column = name;
        const button = make("button", "", cell); // a button: Enter and space press it, too
        Object.assign(button, { type: "button", onclick: () => this.sort(name) });
      }
    }
    this.columns.forEach(({ name, title }, place) => {
      const cell = this.top.children[place];
      const order = (name === this.sorting.by && this.sorting.order) || "none";
      if (cell.ariaSort !== order) cell.ariaSort = order;
      put(cell.firstChild, title + ARROWS[order]);
    });
  }

  /** Rising, falling, and as it was. */
  sort(name) {
    const order = name === this.sorting.by ? ORDERS[this.sorting.order] : "ascending";
    this.sorting = order ? { by: name, order } : { by: "", order: "" };
    this.showTop();
    this.showRows();
  }

  showRows() {
    const there = new Set(this.header.rows.map(({ id }) => id));
    for (const [id, row] of this.rows) if (!there.has(id)) { row.remove(); this.rows.delete(id); }
    this.ordered().forEach((told, place) => {
      const row = this.rows.get(told.id) ?? this.makeRow(told.id);
      if (this.body.children[place] !== row) this.body.insertBefore(row, this.body.children[place] ?? null);
      this.fill(row, told);
    });
  }

  makeRow(id) {
    const row = make("tr", "", this.body);
    row.dataset.row = id;
    this.rows.set(id, row);
    return row;
  }

  fill(row, told) {
    if (row.dataset.columns !== this.signature) {
      row.dataset.columns = this.signature;
      row.textContent = "";
      for (const { name } of this.columns) {
        const cell = make(name === "label" ? "th" : "td", "", row);
        if (name === "label") cell.scope = "row";
        cell.dataset.column = name;
        if (name === "label") { make("span", "", cell); make("span", "", cell); }
        else if (name === "state") { make("div", "", cell); make("div", "vgl-bar", make("div", "vgl-progress", cell)); }
        else { make("div", "", cell); make("div", "vgl-spread", cell); }
      }
    }
    if (row.dataset.status !== told.status) row.dataset.status = told.status;
    row.classList.toggle("vgl-many", countOf(told.seeds) > 1);
    this.columns.forEach(({ name }, place) => this.fillCell(name, row.children[place], told));
  }

  fillCell(name, cell, told) {
    const [first, second] = cell.children;
    if (name === "label") {
      const key = this.keys.get(told.id);
      if (key) drawKey(first, { kind: "line", ...key });
      put(second, key?.label ?? told.label);
    } else if (name === "state") {
      put(first, told.state);
      if (cell.title !== told.state) cell.title = told.state;
      second.firstChild.style.width = `${100 * (told.progress ?? 0)}%`;
    } else {
      const [value, spread] = parted(this.wordsOf(name, told));
      put(first, value);
      put(second, spread);
    }
  }

  wordsOf(name, told) {
    if (name === "wake") return told.wake ?? "";
    if (name === "seeds") return String(countOf(told.seeds));
    return told.cells[name]?.text ?? "–";
  }

  ordered() {
    return sorted(this.header.rows, this.sorting, (row, name) => this.valueOf(row, name));
  }

  valueOf(row, name) {
    if (name === "label") return this.keys.get(row.id)?.label ?? row.label;
    if (name === "state") return row.progress ?? null;
    if (name === "seeds") return countOf(row.seeds);
    if (name === "wake") return row.wake_steps?.find((step) => step !== null) ?? null;
    return row.cells[name]?.sort ?? null;
  }

  /** Sentences below: whose bands overlap, and what is missing; room for the first is kept. */
  showNotes() {
    const { overlaps = [], missing = [], rows } = this.header;
    const groups = rows.filter(({ seeds }) => countOf(seeds) > 1).length;
    this.notes.style.minHeight = `${24 * Math.min(6, (groups * (groups - 1)) / 2)}px`;
    const faults = rows.flatMap(({ label, sentences = [] }) => sentences.map((sentence) => `${label}: ${sentence}`));
    const told = [...missing, ...[...faults, ...overlaps].map((sentence) => this.relabelled(sentence))];
    while (this.notes.children.length > told.length) this.notes.lastChild.remove();
    told.forEach((sentence, place) => put(this.notes.children[place] ?? make("p", "", this.notes), sentence));
  }
}

/** Rows in the order of a column; what has no value in it yet comes last either way. */
export function sorted(rows, { by, order }, valueOf) {
  if (!by) return [...rows];
  const sign = order === "ascending" ? 1 : -1;
  return [...rows].sort((a, b) => {
    const [one, other] = [valueOf(a, by), valueOf(b, by)];
    if (one === null || other === null) return (one === null) - (other === null);
    return sign * (typeof one === "string" ? one.localeCompare(other) : one - other);
  });
}

/** A value, and what is said of its spread: "0.853 (0.84 to 0.86)" -> ["0.853", "0.84 to 0.86"]. */
export function parted(text) {
  const [, value, band, rest] = text.match(/^(.*?)(?: \((.*?)\))?(?:, (\d+ of \d+ seeds))?$/);
  return [value, [band, rest].filter(Boolean).join(", ")];
}

function countOf(seeds) {
  return typeof seeds === "number" ? seeds : seeds?.of ?? 1;
}
