// The link for the hall: a QR code over the whole screen, on key q.

import { make } from "./board.js";
import { isTaken } from "./projector.js";

const QUIET = 4; // squares of white that a code has around it

export class Hall {
  constructor() {
    document.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "q" || event.repeat || isTaken(event)) return;
      if (this.dialog?.open) this.dialog.close();
      else this.open();
    });
  }

  /** Over the whole screen until Esc, q or a press; black on white, whatever the page's colours are. */
  async open() {
    this.dialog ??= this.make();
    if (!this.dialog.open) this.dialog.showModal();
    const told = await this.ask();
    this.picture.textContent = "";
    if (told.path) this.draw(told);
    this.words.textContent = told.link ?? told.error;
    this.dialog.dataset.state = told.link ? "link" : "none";
  }

  make() {
    const dialog = make("dialog", "vgl-hall", document.body);
    dialog.setAttribute("aria-label", "Link for the hall");
    this.picture = make("div", "vgl-hall-code", dialog);
    this.words = make("p", "vgl-hall-link", dialog);
    const close = make("button", "vgl-hall-close", dialog);
    Object.assign(close, { type: "button", textContent: "Close", title: "Esc, or key q", onclick: () => dialog.close() });
    return dialog;
  }

  draw({ side, path }) {
    const whole = `${-QUIET} ${-QUIET} ${side + 2 * QUIET} ${side + 2 * QUIET}`;
    // Not of data: the one way to an <svg> without naming its namespace's address.
    const drawing = document.createRange().createContextualFragment("<svg role='img'><path/></svg>");
    const code = drawing.firstElementChild;
    code.setAttribute("viewBox", whole);
    code.setAttribute("shape-rendering", "crispEdges");
    code.setAttribute("aria-label", "QR code of the link below");
    code.firstElementChild.setAttribute("d", path);
    this.picture.append(code);
  }

  async ask() {
    try {
      const asked = new URLSearchParams({ page: location.origin });
      const answer = await fetch(new URL(`qr?${asked}`, import.meta.url), { cache: "no-store" });
      return await answer.json();
    } catch {
      return { error: "The server does not answer." };
    }
  }
}
