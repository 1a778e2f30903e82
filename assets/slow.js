// The backward pass in slow motion: one multiplication after the other, on the numbers of a real batch.

import { make, style } from "./board.js";
import { put } from "./legend.js";

const PAUSE = 1250; // ms for each multiplication

class Slow {
  constructor(root) {
    root.textContent = "";
    this.root = root;
    this.at = 0;
    this.batch = make("div", "vgl-slow-batch", root);
    this.equation = make("div", "vgl-slow-equation", root);
    this.equation.setAttribute("role", "status");
    this.rows = make("div", "vgl-slow-rows", root);
    this.bar = make("div", "vgl-slow-bar", root);
    this.buttons = {
      first: this.button("|◀", "To the beginning", () => this.go(0)),
      back: this.button("◀", "One step back", () => this.go(this.at - 1)),
      play: this.button("▶ Play", "Play", () => this.play(!this.timer)),
      on: this.button("▶|", "One step forward", () => this.go(this.at + 1)),
    };
    this.slider = make("input", "vgl-slow-slider", this.bar);
    Object.assign(this.slider, { type: "range", min: 0, step: 1, oninput: () => this.go(Number(this.slider.value)) });
    this.slider.setAttribute("aria-label", "Step of the backward pass");
    this.count = make("span", "vgl-slow-count", this.bar);
  }

  button(text, label, press) {
    const made = make("button", "vgl-slow-button", this.bar);
    Object.assign(made, { type: "button", textContent: text, title: label, onclick: press });
    made.setAttribute("aria-label", label);
    return made;
  }

  update({ data: [data] }) {
    const told = JSON.stringify(data);
    if (told === this.told) return;
    this.told = told;
    this.data = data;
    this.build();
    this.go(0);
  }

  build() {
    this.batch.textContent = "";
    for (const [index, picture] of this.data.pictures.entries()) thumbnail(this.batch, picture, this.data.labels[index]);
    put(make("span", "vgl-slow-words", this.batch), this.data.words);
    this.rows.textContent = "";
    this.lines = this.data.layers.map((layer) => {
      const line = make("div", "vgl-slow-row", this.rows);
      put(make("span", "vgl-slow-name", line), layer.name);
      const track = make("span", "vgl-slow-track", line);
      const fill = make("span", "vgl-slow-fill", track);
      const number = make("span", "vgl-slow-number", line);
      return { line, fill, number };
    });
    const axis = make("div", "vgl-slow-axis", this.rows);
    for (const [share, words] of this.data.ticks) {
      const tick = make("span", "vgl-slow-tick", axis);
      tick.style.setProperty("--share", share);
      put(tick, words);
    }
    this.slider.max = this.data.steps.length - 1;
  }

  /** Everything is drawn from the number of the step alone, so back is as good as forward. */
  go(step, playing = false) {
    if (!playing) this.play(false);
    const { steps, layers } = this.data;
    this.at = Math.max(0, Math.min(steps.length - 1, step));
    const now = steps[this.at];
    this.showEquation(now);
    layers.forEach((layer, row) => {
      const newest = steps.findLast((one, index) => index <= this.at && one.row === row);
      const { line, fill, number } = this.lines[row];
      line.dataset.state = row === now.row ? "now" : newest ? "done" : "waits";
      fill.style.width = `${100 * (newest?.share ?? 0)}%`;
      fill.dataset.kind = newest?.kind ?? "";
      put(number, newest?.result ?? "");
    });
    this.slider.value = this.at;
    this.slider.setAttribute("aria-valuetext", now.aloud);
    put(this.count, `${this.at + 1} / ${steps.length}`);
    this.buttons.first.disabled = this.buttons.back.disabled = this.at === 0;
    this.buttons.on.disabled = this.at === steps.length - 1;
    this.root.dataset.step = this.at;
  }

  showEquation({ layer, title, terms, words }) {
    this.equation.textContent = "";
    const head = make("div", "vgl-slow-title", this.equation);
    put(make("b", "", head), layer);
    put(make("span", "", head), title);
    const sum = make("div", "vgl-slow-sum", this.equation);
    for (const [kind, symbol, value] of terms) {
      const term = make("span", `vgl-slow-term vgl-slow-${kind}`, sum);
      put(make("span", "vgl-slow-value", term), value);
      put(make("span", "vgl-slow-symbol", term), symbol);
    }
    put(make("p", "vgl-slow-said", this.equation), words);
  }

  play(on) {
    clearInterval(this.timer);
    this.timer = undefined;
    if (on) {
      if (this.at === this.data.steps.length - 1) this.go(0);
      this.timer = setInterval(() => {
        this.go(this.at + 1, true);
        if (this.at === this.data.steps.length - 1) this.play(false);
      }, PAUSE);
    }
    put(this.buttons.play, this.timer ? "❚❚ Pause" : "▶ Play");
    this.buttons.play.setAttribute("aria-label", this.timer ? "Pause" : "Play");
    this.root.dataset.playing = String(Boolean(this.timer));
  }

  stop() {
    clearInterval(this.timer);
  }
}

/** One example: rows of grey from 0 to 1, or of [red, green, blue]. */
function thumbnail(parent, rows, label) {
  const frame = make("figure", "vgl-slow-picture", parent);
  const canvas = make("canvas", "", frame);
  [canvas.width, canvas.height] = [rows[0].length, rows.length];
  const ink = canvas.getContext("2d");
  rows.forEach((row, y) => row.forEach((pixel, x) => {
    const [red, green, blue] = [pixel].flat().length === 3 ? pixel : [pixel, pixel, pixel];
    ink.fillStyle = `rgb(${[red, green, blue].map((part) => Math.round(255 * part)).join(" ")})`;
    ink.fillRect(x, y, 1, 1);
  }));
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `An example of the batch: ${label}`);
  put(make("figcaption", "", frame), label);
}

export function mount(component) {
  ["live.css", "lessons.css"].forEach(style);
  const { parentElement } = component;
  parentElement.vglSlow ??= new Slow(parentElement.querySelector("[data-live]"));
  parentElement.vglSlow.update(component);
  return () => { parentElement.vglSlow?.stop(); parentElement.vglSlow = undefined; };
}
