// The keys of a lesson: arrows go a stage back or on, p enlarges; and the top of what has just come.

import { make, style } from "./board.js";
import { follow, isLarge, isTaken, toggle } from "./projector.js";

const BUTTONS = { ArrowLeft: ".st-key-lesson_back button", ArrowRight: ".st-key-lesson_next button" };
const REST = 120; // ms between two turns: a held key must not race through a chapter

class Lesson {
  constructor(root) {
    root.textContent = "";
    this.larger = make("button", "vgl-larger", root);
    Object.assign(this.larger, { type: "button", textContent: "A+", onclick: toggle });
    this.larger.title = "Larger type for a projector (key p)";
    this.onKey = (event) => this.key(event);
    document.addEventListener("keydown", this.onKey);
    this.unfollow = follow(() => this.show());
    this.show();
  }

  /** `place` is the chapter and stage that are shown: a new one is read from its top. */
  update({ data: [{ place }] }) {
    if (this.place !== undefined && place !== this.place) {
      document.querySelector("[data-testid=stMain]")?.scrollTo({ top: 0 });
    }
    this.place = place;
  }

  key(event) {
    const selector = BUTTONS[event.key];
    if (!selector || event.shiftKey || isTaken(event, true)) return;
    event.preventDefault();
    if (event.timeStamp - (this.turned ?? -REST) < REST) return;
    this.turned = event.timeStamp;
    document.querySelector(selector)?.click(); // also where a lesson's link hides it
  }

  show() {
    this.larger.setAttribute("aria-pressed", String(isLarge()));
  }

  stop() {
    document.removeEventListener("keydown", this.onKey);
    this.unfollow();
  }
}

export function mount(component) {
  style("live.css");
  const { parentElement } = component;
  const root = parentElement.querySelector("[data-live]");
  parentElement.vglLesson ??= new Lesson(root);
  parentElement.vglLesson.update(component);
  return () => { parentElement.vglLesson?.stop(); parentElement.vglLesson = undefined; };
}
