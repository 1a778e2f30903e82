// Signing in as the presenter, and out again. The key goes into one request's body and stays nowhere.

import { make, style } from "./board.js";
import { put } from "./legend.js";

const UNREACHED = "The server does not answer: try again in a moment.";

class SignIn {
  constructor(root) {
    root.textContent = "";
    this.out = this.button(root, "Sign out", "vgl-sign-out");
    this.out.onclick = () => this.send("sign-out", null, this.out);
    this.box = make("details", "vgl-sign-box", root);
    make("summary", "", this.box).textContent = "Presenter? Sign in";
    this.form = make("form", "", this.box);
    const label = make("label", "", this.form);
    label.textContent = "Presenter's key";
    this.field = make("input", "", label);
    Object.assign(this.field, { type: "password", required: true, autocomplete: "current-password", maxLength: 900 });
    this.submit = this.button(this.form, "Sign in", "");
    this.submit.type = "submit";
    this.said = make("p", "vgl-sign-said", root);
    this.said.setAttribute("role", "alert");
    this.said.id = "vgl-sign-said";
    this.field.setAttribute("aria-describedby", this.said.id);
    this.form.onsubmit = (event) => {
      event.preventDefault();
      this.send("sign-in", { key: this.field.value }, this.submit);
    };
    this.box.ontoggle = () => { if (this.box.open) this.field.focus(); else this.forget(); };
    this.box.onkeydown = (event) => {
      if (event.key !== "Escape") return;
      this.box.open = false;
      this.box.querySelector("summary").focus();
    };
  }

  button(parent, text, className) {
    const made = make("button", className, parent);
    Object.assign(made, { type: "button", textContent: text });
    return made;
  }

  update({ data: [{ audience }] }) {
    this.box.hidden = !audience;
    this.out.hidden = audience;
  }

  /** What was typed is gone with the box. */
  forget() {
    this.field.value = "";
    this.say("");
  }

  say(sentence) {
    put(this.said, sentence);
    this.field.setAttribute("aria-invalid", String(Boolean(sentence)));
  }

  /** The page is loaded anew where it was done: only then does its connection carry the new cookie. */
  async send(name, body, button) {
    button.disabled = true;
    this.say("");
    try {
      const answer = await fetch(new URL(name, import.meta.url), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      if (answer.ok) {
        location.reload();
        return;
      }
      this.say((await answer.json()).error ?? UNREACHED);
    } catch {
      this.say(UNREACHED);
    }
    button.disabled = false;
    if (body) { this.field.focus(); this.field.select(); }
  }
}

export function mount(component) {
  style("sign_in.css");
  const { parentElement } = component;
  const root = parentElement.querySelector("[data-live]");
  parentElement.vglSignIn ??= new SignIn(root);
  parentElement.vglSignIn.update(component);
  return () => { parentElement.vglSignIn = undefined; };
}
