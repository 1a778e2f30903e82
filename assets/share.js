// Links to hand on: of the view as it is, and of a lesson that hides parts of the page.

import { make, style } from "./board.js";
import { put } from "./legend.js";

const SAID = 2500; // ms that a button says what it did

class Share {
  constructor(root) {
    root.textContent = "";
    this.rows = [
      this.row(root, "Copy link", () => linkOf(null)),
      this.row(root, "Copy lesson link", () => linkOf(this.hide)),
    ];
  }

  update({ data: [{ hide }] }) {
    this.hide = hide;
    for (const { button, text, link } of this.rows) { text.value = link(); button.disabled = false; }
    this.rows[1].button.disabled = !hide; // nothing to hide: it is the same link
  }

  row(root, name, link) {
    const place = make("div", "vgl-share-row", root);
    const button = make("button", "vgl-copy", place);
    const text = make("input", "vgl-link", place);
    Object.assign(text, { readOnly: true, onfocus: () => text.select() });
    text.setAttribute("aria-label", name.replace("Copy", "The").replace("link", "link as text"));
    button.type = "button";
    put(button, name);
    button.onclick = async () => {
      text.value = link();
      put(button, (await copied(text)) ? "Copied" : "Press Ctrl+C");
      setTimeout(() => put(button, name), SAID);
    };
    return { button, text, link };
  }
}

/** The address of what is shown: the page's own, with the step that the charts show this moment. */
function linkOf(hide) {
  const link = new URL(location.href);
  const charts = document.querySelector(".vgl");
  if (charts?.dataset.at) link.searchParams.set("step", charts.dataset.at);
  else if (charts) link.searchParams.delete("step");
  if (hide === null) return link.href;
  if (hide) link.searchParams.set("hide", hide);
  else link.searchParams.delete("hide");
  return link.href.replaceAll("%2C", ",");
}

/** Into the clipboard, where the browser allows it; otherwise it is selected, to be copied by hand. */
async function copied(text) {
  text.select();
  try {
    await navigator.clipboard.writeText(text.value);
    return true;
  } catch {
    return document.execCommand("copy"); // not on https, as in a hall
  }
}

export function mount(component) {
  style("live.css");
  const { parentElement } = component;
  const root = parentElement.querySelector("[data-live]");
  parentElement.vglShare ??= new Share(root);
  parentElement.vglShare.update(component);
  return () => { parentElement.vglShare = undefined; };
}
