// A page of the library: one row per run, and what can be done to each. Python decides which runs
// are shown and carries out what is asked for; the browser draws, and shows a tick or a star at once.

import { make, style } from "./board.js";
import { put } from "./legend.js";

const HEADINGS = [
  ["tick", ""], ["star", ""], ["name", "Run"], ["status", "Status"], ["data", "Data"], ["steps", "Steps"],
  ["size", "On disk"], ["made", "Made"], ["buttons", ""],
];

class Library {
  constructor(root) {
    this.root = root;
    root.textContent = "";
    const table = make("table", "vgl-runs", root);
    const top = make("tr", "", make("thead", "", table));
    for (const [name, title] of HEADINGS) {
      const head = make(title ? "th" : "td", `vgl-runs-${name}`, top);
      if (title) Object.assign(head, { scope: "col", textContent: title });
    }
    this.body = make("tbody", "", table);
    this.rows = new Map(); // id -> { place, told }
    this.asked = []; // what Python has not answered yet: { number, do, run, on }
    this.last = 0;
  }

  update({ data: [{ rows, counted, done, watching }], setStateValue }) {
    this.tell = setStateValue;
    this.watching = watching; // nothing can be changed: what is told of a run has no buttons
    this.asked = this.asked.filter((act) => act.number > done);
    const kept = new Map();
    rows.forEach((row, index) => {
      const told = JSON.stringify(row);
      const known = this.rows.get(row.id);
      const place = known?.told === told ? known.place : this.make(row);
      kept.set(row.id, { place, told });
      this.showMarks(place, row);
      if (known && known.place !== place) known.place.replaceWith(place);
      if (this.body.children[index] !== place) this.body.insertBefore(place, this.body.children[index] ?? null);
    });
    for (const [id, { place }] of this.rows) if (!kept.has(id)) place.remove();
    this.rows = kept;
    this.root.dataset.counted = counted; // of what, for whoever waits for it
  }

  /** Ask Python for something. All that is unanswered is sent: of two quick presses none is lost. */
  ask(what, row, on = null) {
    this.last = Math.max(Date.now(), this.last + 1);
    this.asked.push({ number: this.last, do: what, run: row.id, on });
    this.tell("asked", [...this.asked]);
  }

  make(row) {
    const place = document.createElement("tr");
    Object.assign(place.dataset, { run: row.id, status: row.status, depth: row.depth });
    const cell = (name, tag = "td") => make(tag, `vgl-runs-${name}`, place);
    const tick = make("input", "", cell("tick"));
    Object.assign(tick, { type: "checkbox", ariaLabel: `Compare ${row.title}` });
    tick.onchange = () => this.ask("tick", row, tick.checked);
    this.makeStar(cell("star"), row);
    this.makeName(cell("name", "th"), row);
    const status = cell("status");
    this.icon(row.icon, status);
    make("span", "", status).textContent = row.word;
    status.dataset.tone = row.tone;
    for (const name of ["data", "steps", "size", "made"]) cell(name).textContent = row[name];
    const buttons = cell("buttons");
    if (!this.watching) this.makeButtons(buttons, row);
    return place;
  }

  makeStar(cell, row) {
    const star = make(this.watching ? "span" : "button", "vgl-star", cell);
    if (!this.watching) star.onclick = () => this.ask("star", row, this.star(star, star.ariaPressed !== "true"));
  }

  makeName(cell, row) {
    cell.scope = "row";
    cell.style.setProperty("--depth", row.depth);
    const place = make("div", "vgl-runs-inner", cell);
    if (row.depth) this.icon("subdirectory_arrow_right", place);
    const inner = make("div", "", place);
    const link = make("a", "", inner);
    const address = new URL("./", location.href); // the Lab is the first page
    address.searchParams.set("run", row.id);
    Object.assign(link, { textContent: row.title, href: address.href, title: "Open in the Lab" });
    link.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
      event.preventDefault();
      this.ask("open", row);
    };
    const more = make("div", "vgl-runs-more", inner);
    for (const text of row.more) make("span", "", more).textContent = text;
    for (const tag of row.tags) make("span", "vgl-tag", more).textContent = tag;
    if (row.note) make("span", "vgl-note", more).textContent = row.note;
  }

  makeButtons(place, row) {
    for (const [what, icon, title] of [
      ["edit", "edit", "Name, note, tags; save as a file"],
      ["delete", "delete", row.begun ? "Stop it before deleting it" : "Delete; it can be undone"],
    ]) {
      const button = make("button", `vgl-runs-${what}`, place);
      Object.assign(button, { type: "button", title, ariaLabel: `${title}: ${row.title}` });
      this.icon(icon, button);
      button.disabled = what === "delete" && row.begun;
      button.onclick = () => this.ask(what, row);
    }
  }

  /** From the font that Streamlit brings for its own icons. */
  icon(name, parent) {
    const icon = make("span", "vgl-icon", parent);
    icon.ariaHidden = "true";
    icon.textContent = name;
  }

  /** Tick and star: as Python says, unless something newer was asked of it. */
  showMarks(place, row) {
    const asked = (what) => this.asked.findLast((act) => act.do === what && act.run === row.id)?.on;
    place.querySelector("input").checked = asked("tick") ?? row.ticked;
    const star = place.querySelector(".vgl-star");
    if (this.watching) {
      put(star, row.starred ? "★" : "");
      Object.assign(star, row.starred ? { role: "img", ariaLabel: "Starred" } : { role: null, ariaLabel: null });
    }
    else this.star(star, asked("star") ?? row.starred);
  }

  star(button, on) {
    put(button, on ? "★" : "☆");
    const title = on ? "Take the star away" : "Star it";
    Object.assign(button, { type: "button", ariaPressed: String(on), title, ariaLabel: title });
    return on;
  }
}

export function mount(component) {
  style("library.css");
  const { parentElement } = component;
  const root = parentElement.querySelector("[data-live]");
  parentElement.vglLibrary ??= new Library(root);
  parentElement.vglLibrary.update(component);
  return () => { parentElement.vglLibrary = undefined; };
}
