// Following the presenter: her page tells its link, the audience's pages go there; and the link for the hall.
// One of it per page, for as long as the page is open: pages of Streamlit come and go around it.

import { make, style } from "./board.js";
import { Hall } from "./hall.js";
import { put } from "./legend.js";
import { giveUpSilent } from "./silence.js";

const FIRST_RETRY = 1000, LONGEST_RETRY = 10000; // ms
const TELL = 150; // ms between two links told, at least
const LOOK = 1000; // ms between two looks at the address, where no event tells that it has changed
const CHARTS = 2, PYTHON = 40; // ms per viewer, over which their charts and then their pages go along; a page takes 40
const HAND = 1500; // ms after a press in which the page is left to the hand that pressed
const COUNTS = 8000; // ms after a press in which another link is taken for what came of it
const CONNECT = 500; // ms until a page that has lost Python is looked at again
const ALONE = "vgl-alone", ASKED = "vgl-follow"; // kept for this tab, over a reload
const PRESSES = ["pointerdown", "click", "keydown", "input"];
const NOT_THE_LINK = ".vgl-plot, .vgl-follow, .vgl-hall"; // zooming, and what is drawn here

class Follower {
  constructor() {
    Object.assign(this, { wait: FIRST_RETRY, handAt: -Infinity, wentAt: -Infinity, newest: null, viewers: 0 });
    this.isAlone = sessionStorage.getItem(ALONE) === "1";
    this.seen = here();
    this.hall = new Hall();
    this.makePill();
    window.navigation?.addEventListener("currententrychange", () => this.changed());
    window.addEventListener("popstate", (event) => { if (event.isTrusted) { this.handAt = performance.now(); this.changed(); } });
    for (const name of PRESSES) document.addEventListener(name, (event) => this.pressed(event), true);
    document.addEventListener("visibilitychange", () => this.tell());
    setInterval(() => this.changed(), LOOK);
  }

  /** Take what Python says; `root` is at the foot of the sidebar, for the presenter alone. */
  update(root, { data: [data] }) {
    if (data.follow) sessionStorage.setItem(ASKED, "1");
    this.data = data;
    this.root = root;
    tidy();
    if (!this.socket) this.connect();
    this.show();
  }

  get asked() { return sessionStorage.getItem(ASKED) === "1"; }

  connect() {
    const url = new URL(this.asked ? "stage?follow=1" : "stage", import.meta.url);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.socket = new WebSocket(url));
    giveUpSilent(socket);
    socket.onmessage = ({ data }) => {
      this.wait = FIRST_RETRY;
      this.isLost = false;
      this.hear(JSON.parse(data));
    };
    socket.onclose = () => {
      Object.assign(this, { presents: false, told: undefined, isLost: true });
      this.show();
      // A hall that has lost its server must not come back all at once.
      setTimeout(() => this.connect(), this.wait * (0.5 + Math.random()));
      this.wait = Math.min(2 * this.wait, LONGEST_RETRY);
    };
  }

  hear(said) {
    if (said.viewers !== undefined) this.viewers = said.viewers;
    if (said.path !== undefined) {
      this.newest = { path: said.path, search: said.search };
      this.lead();
    } else if (said.viewers !== undefined) {
      this.presents = true;
      this.tell();
    }
    this.show();
  }

  // -- the presenter ------------------------------------------------------------------------

  /** Say where this page is, where it is the presenter's and in sight: of two windows it is the other's turn. */
  tell() {
    if (!this.presents || document.hidden || this.socket.readyState !== WebSocket.OPEN) return;
    const link = here();
    if (isSame(link, this.told)) return;
    clearTimeout(this.telling);
    const rest = (this.toldAt ?? -Infinity) + TELL - performance.now();
    if (rest > 0) { this.telling = setTimeout(() => this.tell(), rest); return; }
    this.toldAt = performance.now();
    this.told = link;
    this.socket.send(JSON.stringify(link));
  }

  // -- the audience -------------------------------------------------------------------------

  get follows() { return this.newest !== null && !this.isAlone && !this.presents; }

  /** Go where the presenter is. What the charts can show by themselves comes first; the page, which costs
   *  the server a run of its script, at a moment of its own, and by then where she is by then. */
  lead() {
    if (!this.follows) return;
    const some = Math.random() * this.viewers;
    clearTimeout(this.showing);
    this.showing = setTimeout(() => this.charts(), CHARTS * some);
    this.going ??= setTimeout(() => this.go(), PYTHON * some);
  }

  charts() {
    if (this.follows && !this.isBusy()) announce(this.newest);
  }

  go() {
    this.going = undefined;
    if (!this.follows) return;
    if (this.isBusy() || !isConnected()) { this.going = setTimeout(() => this.go(), CONNECT); return; }
    announce(this.newest);
    if (isSame(here(), this.newest)) return;
    const { path, search } = this.newest;
    this.wentAt = performance.now();
    this.seen = this.newest;
    // Streamlit takes it for the browser's Back: it runs that page with that link, and bound controls take its
    // values. The entry is replaced, so that Back leads to where the viewer came from, not through the lecture.
    history.replaceState({}, "", `${path}${search}${search ? "&" : "?"}follow=1`);
    window.dispatchEvent(new PopStateEvent("popstate", { state: {} }));
    tidy(); // Python has been told
  }

  isBusy() { return performance.now() - this.handAt < HAND; }

  /** A hand on the page. What it does to the link shows later; the scrubber's is known at once. */
  pressed(event) {
    if (!event.isTrusted || event.target.closest?.(NOT_THE_LINK)) return;
    this.handAt = performance.now();
    const place = event.target.closest?.(".vgl-scrubber");
    const moves = event.type === "input" || (event.type === "keydown" && event.key === " ")
      || (event.type === "click" && event.target.closest("button:not(.vgl-speed), .vgl-mark-event"));
    if (place && moves) this.lookAlone();
  }

  /** The link is another one: the presenter's is told, a viewer's of their own ends following. */
  changed() {
    const link = here();
    if (isSame(link, this.seen)) return;
    this.seen = link;
    this.tell();
    const byHand = this.handAt > this.wentAt && performance.now() - this.handAt < COUNTS;
    if (byHand && !isSame(link, this.newest)) this.lookAlone();
  }

  lookAlone() {
    if (!this.follows) return;
    this.setAlone(true);
    announce(null);
  }

  goBack() {
    this.setAlone(false);
    this.handAt = -Infinity;
    this.go();
  }

  setAlone(alone) {
    this.isAlone = alone;
    if (alone) sessionStorage.setItem(ALONE, "1");
    else sessionStorage.removeItem(ALONE);
    clearTimeout(this.going);
    clearTimeout(this.showing);
    this.going = undefined;
    this.show();
  }

  // -- what is seen -------------------------------------------------------------------------

  makePill() {
    this.pill = make("div", "vgl-follow", document.body);
    this.pill.setAttribute("role", "region");
    this.pill.setAttribute("aria-label", "Following the presenter");
    this.words = make("span", "vgl-follow-words", this.pill);
    this.words.setAttribute("role", "status"); // which is polite
    this.back = make("button", "vgl-follow-back", this.pill);
    Object.assign(this.back, { type: "button", textContent: "Back to the presenter", onclick: () => this.goBack() });
  }

  show() {
    const watches = this.newest !== null && !this.presents;
    this.pill.hidden = !watches;
    this.pill.dataset.state = this.isAlone ? "alone" : "follows";
    document.documentElement.classList.toggle("vgl-watches", watches);
    this.back.hidden = !this.isAlone;
    const follows = this.isLost ? "The presenter cannot be heard; trying again …" : "Following the presenter";
    put(this.words, this.isAlone ? "You are looking around alone" : follows);
    this.showFoot();
  }

  showFoot() {
    const { root, data } = this;
    if (!root) return;
    const presents = data.presenter && !this.asked;
    if (presents && !root.firstChild) {
      make("span", "vgl-watching", root).setAttribute("role", "status");
      const button = make("button", "vgl-hall-button", root);
      Object.assign(button, { type: "button", title: "Key q", onclick: () => this.hall.open() });
      button.textContent = "Show the link to the hall";
    }
    if (!presents) { root.textContent = ""; return; }
    put(root.firstChild, data.keyed || this.viewers ? `${this.viewers.toLocaleString("en")} watching` : "");
  }
}

/** Where this page is, in one way of writing it. */
function here() {
  const set = new URLSearchParams(location.search);
  set.delete("follow");
  const search = set.toString();
  return { path: location.pathname.replace(/(.)\/$/, "$1"), search: search && `?${search}` };
}

/** Without the word that asks to follow: whoever is given the address may look at it as they like. */
function tidy() {
  const { path, search } = here();
  if (new URLSearchParams(location.search).has("follow")) history.replaceState({}, "", path + search);
}

function isSame(one, other) {
  const sorted = ({ search }) => { const set = new URLSearchParams(search); set.sort(); return set.toString(); };
  return Boolean(one && other) && one.path === other.path && sorted(one) === sorted(other);
}

/** Tell the page's charts what is shown; null where they are the viewer's again. */
function announce(shown) {
  window.dispatchEvent(new CustomEvent("vgl-shown", { detail: shown }));
}

/** Whether Streamlit can run a page now: after a restart its own connection takes a while. */
function isConnected() {
  const state = document.querySelector("[data-test-connection-state]")?.dataset.testConnectionState;
  return state === undefined || state === "CONNECTED";
}

let follower;

export function mount(component) {
  style("follow.css");
  follower ??= new Follower();
  follower.update(component.parentElement.querySelector("[data-live]"), component);
}
