// Moments of a run: what no growing array tells of a recorded step, asked of the server and kept.

import { momentOf } from "./frames.js";

const KEPT = 300; // some 20 kB each for eight layers

/** One request at a time, and after it the one that was asked for last. */
export class Moments {
  /** onMoment  takes each that comes until the one asked for last is there; onFail a sentence */
  constructor(run, onMoment, onFail) {
    Object.assign(this, { run, onMoment, onFail });
    this.kept = new Map(); // step -> moment, the one asked for last at the end
  }

  stop() {
    this.stopped = true;
  }

  /** The moment of a step where it is here already; otherwise it comes by onMoment. */
  at(step) {
    const found = this.kept.get(step);
    this.wanted = found || step === null ? null : step;
    if (found) { this.kept.delete(step); this.kept.set(step, found); }
    if (this.wanted !== null && !this.asking) this.ask();
    return found ?? null;
  }

  async ask() {
    this.asking = true;
    const step = this.wanted;
    try {
      const moment = await this.load(step);
      this.kept.set(step, moment);
      if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
      const comes = this.wanted !== null && !this.stopped;
      if (this.wanted === step) this.wanted = null;
      if (comes) this.onMoment(moment); // also one on the way: they come in the order of asking
    } catch (error) {
      if (this.wanted === step && !this.stopped) { this.wanted = null; this.onFail(error.message); }
    }
    this.asking = false;
    if (this.wanted !== null && !this.stopped) this.ask();
  }

  async load(step) {
    const asked = new URLSearchParams({ run: this.run, step });
    const answer = await fetch(new URL(`moment?${asked}`, import.meta.url));
    if ((answer.headers.get("content-type") ?? "").startsWith("application/octet-stream")) {
      return { step, ...momentOf(await answer.arrayBuffer()) };
    }
    throw new Error((await answer.json().catch(() => ({}))).error ?? "The server does not answer.");
  }
}
