// What a diagnosis has found: the gravest finding in one row, all of them in a block, and what to press.

import { make } from "./board.js";
import { put } from "./legend.js";

const SIGNS = { bad: "✕", watch: "!", healthy: "✓" }; // a sign and a word, so that colour is not all
const WAITS = "The diagnosis comes with the first recorded step.";
const NOTHING = "Nothing was recorded, so there is nothing to diagnose.";

/** A severity as its sign and its word. */
export function badge(parent) {
  const place = make("span", "vgl-badge", parent);
  const sign = make("span", "vgl-badge-sign", place);
  sign.ariaHidden = "true";
  const word = make("span", "vgl-badge-word", place);
  return (severity) => {
    place.dataset.severity = severity;
    put(sign, SIGNS[severity]);
    put(word, severity);
  };
}

/** Of contenders beside each other: what all have, and of each what the others have not, or not all.
 *  Of one alone all is its own.
 *  all  the findings of each; empty where nothing is recorded yet, which says nothing of the others */
export function apart(all) {
  const told = all.filter((findings) => findings.length);
  const key = ({ name, severity }) => `${name} ${severity}`;
  const sets = told.map((findings) => new Set(findings.map(key)));
  const shared = (finding) => told.length > 1 && sets.every((keys) => keys.has(key(finding)));
  return { common: (told[0] ?? []).filter(shared), own: all.map((findings) => findings.filter((one) => !shared(one))) };
}

/** Findings in one short text each, behind the sign of their severity. */
export function brief(place, findings) {
  place.title = findings.map(({ sentence }) => sentence).join("\n");
  const signature = JSON.stringify(findings.map(({ severity, short }) => [severity, short]));
  if (place.dataset.signature === signature) return;
  place.dataset.signature = signature;
  place.textContent = "";
  for (const { severity, short } of findings) {
    const one = make("span", "vgl-brief", place);
    one.dataset.severity = severity;
    const sign = make("span", "vgl-brief-sign", one);
    Object.assign(sign, { textContent: `${SIGNS[severity]} `, title: severity });
    make("span", "", one).textContent = `${short}  `;
  }
}

export class Findings {
  /** root   what the one row is appended to; `place`, the block, is for the caller to place
   *  press  called with the name of a remedy to switch on */
  constructor(root, press) {
    this.press = press;
    this.row = make("div", "vgl-headline", root);
    this.row.setAttribute("role", "status");
    this.gravest = badge(this.row);
    this.words = make("span", "vgl-headline-words", this.row);
    this.button = this.makeButton(this.row);
    this.more = make("button", "vgl-more", this.row);
    Object.assign(this.more, { type: "button", onclick: () => this.place.scrollIntoView({ behavior: "smooth", block: "center" }) });
    this.place = document.createElement("section");
    this.place.className = "vgl-findings";
    this.place.ariaLabel = "Diagnosis";
    make("h3", "vgl-title", this.place).textContent = "Diagnosis";
    this.list = make("ol", "vgl-findings-list", this.place);
    this.items = [];
  }

  makeButton(parent) {
    const button = make("button", "vgl-switch", parent);
    button.type = "button";
    button.onclick = () => this.press(button.dataset.remedy);
    return button;
  }

  /** Forget how much room the findings of another run took. */
  clear() {
    this.place.style.minHeight = "";
  }

  /** Show findings, gravest first.
   *  ready   names of remedies that the settings are ready to train this run with
   *  offers  whether remedies can be pressed at all
   *  open    whether the run may still record something */
  show(findings, { ready, offers, hidden, run, open }) {
    this.row.hidden = hidden || !run;
    this.place.hidden = hidden || !findings.length;
    if (this.row.hidden) return;
    const [first] = findings;
    this.row.dataset.severity = first?.severity ?? "none";
    if (first) this.gravest(first.severity);
    put(this.words, first?.sentence ?? (open === false ? NOTHING : WAITS));
    this.words.title = first?.sentence ?? "";
    const offer = findings.find(({ remedy }) => remedy);
    this.offer(this.button, offers ? offer : undefined, ready);
    this.more.hidden = !findings.length;
    put(this.more, findings.length > 1 ? `All ${findings.length} findings` : "More");
    while (this.items.length < findings.length) this.items.push(this.makeItem());
    while (this.items.length > findings.length) this.items.pop().place.remove();
    const before = this.shape;
    this.shape = findings.map(({ name }) => name).join();
    findings.forEach((finding, index) => this.fill(this.items[index], finding, offers, ready));
    if (before !== this.shape) this.keepRoom();
  }

  makeItem() {
    const place = make("li", "vgl-finding", this.list);
    const item = { place, badge: badge(place) };
    const words = make("div", "vgl-finding-words", place);
    for (const part of ["sentence", "why", "source"]) item[part] = make("p", `vgl-finding-${part}`, words);
    item.button = this.makeButton(place);
    return item;
  }

  fill(item, finding, offers, ready) {
    const { name, severity, sentence, source, title, why } = finding;
    item.place.dataset.finding = name;
    item.place.dataset.severity = severity;
    item.badge(severity);
    put(item.sentence, sentence);
    put(item.why, title ? `${title}: ${why}.` : why ? `${why[0].toUpperCase()}${why.slice(1)}.` : "");
    put(item.source, source);
    this.offer(item.button, offers ? finding : undefined, ready);
  }

  offer(button, finding, ready) {
    button.hidden = !finding?.remedy;
    if (button.hidden) return;
    const isReady = ready.includes(finding.remedy);
    button.dataset.remedy = finding.remedy;
    button.disabled = isReady;
    button.title = finding.why;
    put(button, isReady ? `${finding.title} is on: press Train` : `Switch on ${finding.title}`);
  }

  /** What is below must not go up and down as findings come and go: it only ever goes down. */
  keepRoom() {
    const { height } = this.place.getBoundingClientRect();
    this.place.style.minHeight = `${Math.max(Math.ceil(height), parseInt(this.place.style.minHeight, 10) || 0)}px`;
  }
}
