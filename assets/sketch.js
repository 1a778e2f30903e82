// Draw a prediction: log10 of the gradient RMS by layer, on the one fixed axis of all profiles.

import { make, style } from "./board.js";
import { put } from "./legend.js";
import { follow, isLarge } from "./projector.js";

const GRAIN = 0.05; // decades that a hand can tell apart
const KEYS = { ArrowUp: 0.25, ArrowDown: -0.25, PageUp: 1, PageDown: -1 }; // decades
const BEGIN = -3; // where the points lie before anything is drawn
const TELL = 250; // ms after the last key until Python is told

/** Where layers without a point lie: on the line between those that have one, level beyond them. */
export function joined(placed) {
  const at = placed.flatMap((value, layer) => (value === null ? [] : [layer]));
  if (!at.length) return placed.map(() => BEGIN);
  return placed.map((value, layer) => {
    if (value !== null) return value;
    const right = at.find((one) => one > layer);
    const left = at.findLast((one) => one < layer);
    if (left === undefined || right === undefined) return placed[left ?? right];
    return placed[left] + (placed[right] - placed[left]) * ((layer - left) / (right - left));
  });
}

/** What a stroke between two points draws: each layer whose middle it crosses, at the height there, and
 *  the layer it is on its way into, at its own height until it gets to the middle.
 *  A point is { place, value }; `place` counts layers from 0, whole numbers in their middles. */
export function stroke(from, to) {
  const way = Math.sign(to.place - from.place);
  if (!way) return [];
  const drawn = [];
  const first = way > 0 ? Math.floor(from.place) + 1 : Math.ceil(from.place) - 1;
  for (let layer = first; way * (to.place - layer) >= 0; layer += way) {
    const share = (layer - from.place) / (to.place - from.place);
    drawn.push({ layer, value: from.value + share * (to.value - from.value) });
  }
  const near = Math.round(to.place);
  if (way * (near - to.place) > 0) drawn.push({ layer: near, value: to.value });
  return drawn;
}

export function fitted(value, [low, high]) {
  return Math.min(high, Math.max(low, Math.round(value / GRAIN) * GRAIN));
}

const digits = (text) => String(text).replaceAll("-", "⁻").replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]);

/** log10 as people read it: -5.09 -> "8.1·10⁻⁶". */
export function power(log10) {
  const exponent = Math.floor(log10 + 1e-9);
  return `${(10 ** (log10 - exponent)).toFixed(1)}·10${digits(exponent)}`;
}

/** An element of a drawing; `parent` is one, or the <svg> itself. */
function draw(tag, attributes, parent) {
  const made = document.createElementNS(parent.namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return parent.appendChild(made);
}

class Sketch {
  constructor(root) {
    this.root = root;
    // Not of data: the one way to an <svg> without naming its namespace's address.
    const drawing = document.createRange().createContextualFragment('<svg class="vgl-sketch-plot" role="group"></svg>');
    root.replaceChildren(drawing);
    this.svg = root.firstElementChild;
    const foot = make("div", "vgl-sketch-foot", root);
    this.said = make("span", "vgl-sketch-said", foot);
    this.said.setAttribute("role", "status");
    this.clear = make("button", "vgl-copy vgl-sketch-clear", foot);
    Object.assign(this.clear, { type: "button", textContent: "Clear", onclick: () => this.wipe() });
    this.svg.addEventListener("pointerdown", (event) => this.press(event));
    this.svg.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) this.svg.addEventListener(end, () => this.lift());
    this.size = new ResizeObserver(() => this.build());
    this.unfollow = follow(() => this.build());
  }

  update({ data: [data], setStateValue }) {
    this.setStateValue = setStateValue;
    const changed = JSON.stringify(data) !== JSON.stringify(this.data);
    const anew = !this.data || data.about !== this.data.about || data.locked !== this.data.locked;
    this.data = data;
    if (anew) this.placed = data.placed.map((value) => value); // what is drawn here is newer than what Python has heard
    if (changed) this.build();
    if (!this.observed) this.size.observe(this.root);
    this.observed = true;
  }

  build() {
    if (!this.data || !this.root.clientWidth) return;
    const focused = this.points?.indexOf(document.activeElement) ?? -1;
    const large = isLarge();
    this.px = large ? 22 : 16;
    const [width, height] = [this.root.clientWidth, large ? 470 : 400];
    this.box = { left: 5 * this.px, right: width - 24, top: 16, bottom: height - 3.6 * this.px };
    this.svg.textContent = "";
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.style.height = `${height}px`;
    this.svg.setAttribute("aria-label", this.data.label);
    this.axes();
    this.line = draw("polyline", { class: "vgl-sketch-line" }, this.svg);
    this.hint = draw("text", { class: "vgl-sketch-hint", x: (this.box.left + this.box.right) / 2, y: this.box.top + 2.2 * this.px, "text-anchor": "middle", "font-size": this.px }, this.svg);
    const narrow = this.box.right - this.box.left < 28 * this.px; // a phone
    this.hint.textContent = narrow ? "Draw across the chart" : "Draw across the chart, or move one point after the other";
    this.points = this.data.layers.map((name, layer) => this.point(name, layer));
    this.clear.hidden = this.data.locked;
    this.svg.classList.toggle("vgl-locked", this.data.locked);
    this.show();
    if (focused >= 0) this.points[focused]?.focus();
  }

  axes() {
    const { left, right, top, bottom } = this.box;
    const [low, high] = this.data.range;
    const text = (words, at) => { draw("text", { class: "vgl-sketch-text", "font-size": this.px, ...at }, this.svg).textContent = words; };
    for (let power10 = Math.ceil(low); power10 <= high; power10 += 1) {
      const y = this.y(power10);
      const labelled = power10 % 2 === 0;
      draw("line", { class: labelled ? "vgl-sketch-grid" : "vgl-sketch-faint", x1: left, x2: right, y1: y, y2: y }, this.svg);
      if (labelled) text(`10${digits(power10)}`, { x: left - 10, y: y + 0.35 * this.px, "text-anchor": "end" });
    }
    const every = Math.ceil((2.2 * this.px * this.data.layers.length) / (right - left));
    this.data.layers.forEach((name, layer) => {
      if (layer % every && layer !== this.data.layers.length - 1) return;
      text(name, { x: this.x(layer), y: bottom + 1.4 * this.px, "text-anchor": "middle" });
    });
    text("layer (1 = nearest the input)", { x: (left + right) / 2, y: bottom + 2.9 * this.px, "text-anchor": "middle" });
    const middle = (top + bottom) / 2;
    text("gradient RMS", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(${this.px} ${middle}) rotate(-90)` });
  }

  x(layer) {
    const { left, right } = this.box;
    return left + ((layer + 0.5) / this.data.layers.length) * (right - left);
  }

  y(value) {
    const [low, high] = this.data.range;
    return this.box.bottom - ((value - low) / (high - low)) * (this.box.bottom - this.box.top);
  }

  point(name, layer) {
    const [low, high] = this.data.range;
    const point = draw("circle", { class: "vgl-sketch-point", cx: this.x(layer), role: "slider", "aria-orientation": "vertical" }, this.svg);
    point.setAttribute("tabindex", this.data.locked ? -1 : 0);
    point.setAttribute("aria-disabled", String(this.data.locked));
    point.setAttribute("aria-valuemin", low);
    point.setAttribute("aria-valuemax", high);
    point.setAttribute("aria-label", name === "out" ? "Output layer, log10 of the gradient RMS" : `Layer ${name}, log10 of the gradient RMS`);
    point.addEventListener("keydown", (event) => this.key(event, layer));
    point.addEventListener("focus", () => this.tellLayer(layer));
    return point;
  }

  show() {
    const values = joined(this.placed);
    const drawn = this.placed.some((value) => value !== null);
    this.line.setAttribute("points", values.map((value, layer) => `${this.x(layer)},${this.y(value)}`).join(" "));
    this.svg.classList.toggle("vgl-empty", !drawn);
    this.points.forEach((point, layer) => {
      point.setAttribute("cy", this.y(values[layer]));
      point.setAttribute("r", this.placed[layer] === null ? 0.42 * this.px : 0.56 * this.px);
      point.classList.toggle("vgl-placed", this.placed[layer] !== null);
      point.setAttribute("aria-valuenow", values[layer].toFixed(2));
      point.setAttribute("aria-valuetext", drawn ? power(values[layer]) : "not drawn yet");
    });
    this.hint.style.display = drawn ? "none" : "";
    this.clear.disabled = !drawn;
    this.root.dataset.drawn = String(drawn);
    if (!drawn) put(this.said, "Layers without a point follow the line.");
  }

  tellLayer(layer) {
    if (this.placed.every((value) => value === null)) return;
    const name = this.data.layers[layer];
    put(this.said, `${name === "out" ? "Output layer" : `Layer ${name}`}: ${power(joined(this.placed)[layer])}`);
  }

  place(layer, value) {
    this.placed[layer] = fitted(value, this.data.range);
    this.show();
    this.tellLayer(layer);
  }

  /** Which layer and height the pointer is at. */
  at(event) {
    const frame = this.svg.getBoundingClientRect();
    const { left, right, top, bottom } = this.box;
    const [low, high] = this.data.range;
    const across = (event.clientX - frame.left - left) / (right - left);
    const up = (bottom - (event.clientY - frame.top)) / (bottom - top);
    const count = this.data.layers.length;
    const place = Math.max(-0.49, Math.min(count - 0.51, across * count - 0.5));
    return { place, layer: Math.round(place), value: low + up * (high - low) };
  }

  press(event) {
    if (this.data.locked || event.button) return;
    event.preventDefault();
    this.svg.setPointerCapture(event.pointerId);
    this.last = this.at(event);
    this.travels = false;
    this.place(this.last.layer, this.last.value);
    this.points[this.last.layer].focus({ preventScroll: true });
  }

  move(event) {
    if (!this.last) return;
    const here = this.at(event);
    this.travels ||= here.layer !== this.last.layer;
    if (!this.travels) this.place(here.layer, here.value); // one point, moved up and down
    else for (const { layer, value } of stroke(this.last, here)) this.place(layer, value);
    this.last = here;
  }

  lift() {
    if (!this.last) return;
    this.last = undefined;
    this.tell();
  }

  key(event, layer) {
    const [low, high] = this.data.range;
    const aside = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (aside) this.points[layer + aside]?.focus();
    else if (this.data.locked) return;
    else if (event.key in KEYS) this.place(layer, joined(this.placed)[layer] + KEYS[event.key]);
    else if (event.key === "Home") this.place(layer, low);
    else if (event.key === "End") this.place(layer, high);
    else return;
    event.preventDefault();
    if (aside) return;
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.tell(), TELL);
  }

  wipe() {
    this.placed = this.placed.map(() => null);
    this.show();
    this.tell();
  }

  /** Python is told what is drawn once a hand rests. */
  tell() {
    clearTimeout(this.telling);
    this.setStateValue("drawn", { about: this.data.about, placed: this.placed, values: joined(this.placed) });
  }

  stop() {
    clearTimeout(this.telling);
    this.size.disconnect();
    this.unfollow();
  }
}

export function mount(component) {
  ["live.css", "lessons.css"].forEach(style);
  const { parentElement } = component;
  parentElement.vglSketch ??= new Sketch(parentElement.querySelector("[data-live]"));
  parentElement.vglSketch.update(component);
  return () => { parentElement.vglSketch?.stop(); parentElement.vglSketch = undefined; };
}
