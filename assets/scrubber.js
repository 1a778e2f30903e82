// A slider over the recorded steps of a run: to any of them, play from there, and back to the newest.

import { firstAtLeast } from "./cuts.js";
import { make } from "./board.js";
import { put } from "./legend.js";

const SPEEDS = [1, 5, 20]; // of the recorded seconds
const TICKS = [0, ...[...Array(7).keys()].flatMap((power) => [10 ** power, 3 * 10 ** power])];
const ROOM = 0.055; // of the slider, that the number of a tick takes at least

/** Each recorded step has the same room, so that the first steps, which are all recorded, have most.
 *  onMove  (step | null, playing) -> what is to be shown; null is the newest, whatever it becomes */
export class Scrubber {
  constructor(parent, onMove) {
    this.onMove = onMove;
    this.steps = [];
    this.seconds = [];
    this.at = null;
    this.speed = SPEEDS[0];
    this.place = make("div", "vgl-scrubber", parent);
    this.place.setAttribute("role", "group");
    this.place.setAttribute("aria-label", "Replay");
    this.button = this.makeButton("vgl-play", "", () => this.toggle());
    const speeds = make("span", "vgl-speeds", this.place);
    this.speeds = SPEEDS.map((speed) => {
      const button = this.makeButton("vgl-speed", `${speed}×`, () => this.choose(speed), speeds);
      button.title = `Play at ${speed} times the speed of training`;
      return button;
    });
    this.track = make("span", "vgl-track", this.place);
    this.slider = make("input", "vgl-slider", this.track);
    Object.assign(this.slider, { type: "range", min: 0, max: 0, value: 0, step: 1, disabled: true });
    this.slider.setAttribute("aria-label", "Step that the charts show");
    this.slider.title = "Left and right: one recorded step; space: play";
    this.slider.addEventListener("input", () => this.slid());
    this.slider.addEventListener("keydown", (event) => this.key(event));
    this.marks = make("span", "vgl-marks", this.track);
    this.words = make("span", "vgl-at", this.place);
    this.newest = this.makeButton("vgl-newest", "Newest", () => this.move(null));
    this.newest.title = "Show the newest step, and those that come";
    this.choose(this.speed);
    this.show();
  }

  makeButton(className, text, onclick, parent = this.place) {
    const button = make("button", className, parent);
    Object.assign(button, { type: "button", textContent: text, onclick });
    return button;
  }

  /** Another run. */
  clear() {
    this.pause();
    this.at = null;
    this.know([], [], [], false);
  }

  /** What is recorded by now; a step that is no longer among them gives way to the nearest. */
  know(steps, seconds, events, open) {
    Object.assign(this, { steps, seconds, open });
    const ticks = JSON.stringify([steps.length, steps.at(-1), events]);
    if (ticks !== this.ticks) { this.ticks = ticks; this.showTicks(events); }
    if (this.at !== null && steps.length) {
      const at = steps[this.nearest(this.at)];
      if (at !== this.at) { this.at = at; this.onMove(at, this.playing); }
    }
    this.show();
  }

  /** Place of the recorded step that is nearest. */
  nearest(step) {
    const place = firstAtLeast(this.steps, step);
    if (place === 0) return 0;
    if (place === this.steps.length) return place - 1;
    return this.steps[place] - step < step - this.steps[place - 1] ? place : place - 1;
  }

  slid() {
    const place = this.slider.valueAsNumber; // before anything writes what is shown into it
    this.pause();
    this.move(place >= this.steps.length - 1 ? null : this.steps[place]);
  }

  key(event) {
    if (event.key !== " ") return;
    event.preventDefault(); // the page would scroll
    this.toggle();
  }

  /** Show a step, or with null the newest. */
  move(step) {
    if (step === null) this.pause();
    this.at = step;
    this.show();
    this.onMove(step, this.playing);
  }

  toggle() {
    if (this.playing) { this.pause(); this.onMove(this.at, false); return; }
    if (this.steps.length < 2) return;
    this.playing = true;
    const from = this.at === null ? 0 : this.nearest(this.at);
    this.move(this.steps[from]);
    this.clock = { seconds: this.seconds[from], then: performance.now() };
    this.ticking = requestAnimationFrame(() => this.tick());
  }

  pause() {
    this.playing = false;
    cancelAnimationFrame(this.ticking);
    this.show();
  }

  choose(speed) {
    this.speed = speed;
    this.speeds.forEach((button, place) => button.setAttribute("aria-pressed", String(SPEEDS[place] === speed)));
  }

  tick() {
    if (!this.playing) return;
    const now = performance.now();
    // A page that was out of sight goes on from where it was.
    this.clock.seconds += (this.speed * Math.min(now - this.clock.then, 250)) / 1000;
    this.clock.then = now;
    const next = Math.min(firstAtLeast(this.seconds, this.clock.seconds), this.steps.length - 1);
    const place = this.seconds[next] > this.clock.seconds ? next - 1 : next;
    if (place >= this.steps.length - 1) { this.move(null); return; }
    if (place > this.nearest(this.at)) this.move(this.steps[place]);
    this.ticking = requestAnimationFrame(() => this.tick());
  }

  show() {
    const last = Math.max(this.steps.length - 1, 0);
    const place = this.at === null ? last : this.nearest(this.at);
    this.slider.max = last;
    this.slider.value = place;
    this.slider.disabled = this.button.disabled = last < 1;
    const step = this.at ?? this.steps[last];
    const said = step === undefined ? "" : `step ${step.toLocaleString("en")}`;
    put(this.words, said);
    this.slider.setAttribute("aria-valuetext", said);
    put(this.button, this.playing ? "❚❚" : "▶");
    this.button.title = this.playing ? "Pause the replay" : "Replay from here; at the newest step, from the start";
    this.button.setAttribute("aria-label", this.playing ? "Pause the replay" : "Play");
    put(this.newest, this.open ? "Live" : "End");
    this.newest.setAttribute("aria-pressed", String(this.at === null));
    this.newest.disabled = last < 1;
  }

  /** Numbers of steps where there is room, and a mark at each event. */
  showTicks(events) {
    this.marks.textContent = "";
    const last = this.steps.length - 1;
    if (last < 1) return;
    let free = 0;
    for (const step of TICKS) {
      const place = firstAtLeast(this.steps, step) / last;
      if (step > this.steps[last] || place < free) continue;
      free = place + ROOM;
      this.mark("vgl-mark", place, step >= 1000 ? `${step / 1000}k` : String(step));
    }
    for (const { step, short, words } of events) {
      const mark = this.mark("vgl-mark-event", this.nearest(step) / last, "");
      mark.title = `Step ${step.toLocaleString("en")}: ${short}. ${words}`;
      mark.onclick = () => { this.pause(); this.move(this.steps[this.nearest(step)]); };
    }
  }

  mark(className, share, text) {
    const mark = make("span", className, this.marks);
    mark.style.setProperty("--share", share);
    mark.textContent = text;
    return mark;
  }
}
