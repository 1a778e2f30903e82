// Larger type for a projector, the same for all of a page: key p, or a button; kept in this browser.

const KEY = "vgl-projector";
const followers = new Set();

const TEXT = "textarea, select, [contenteditable], [role=combobox], input:not([type=radio], [type=checkbox], [type=range])";
const MOVED = `${TEXT}, input, [role=slider], [role=radio], [role=tab], [role=option], [role=menuitem]`;

/** Whether a key is meant for what has the focus: letters for a text, arrows also for what they move. */
export function isTaken(event, isArrow = false) {
  const modified = event.ctrlKey || event.metaKey || event.altKey;
  return event.defaultPrevented || modified || Boolean(event.target.closest?.(isArrow ? MOVED : TEXT));
}

export const isLarge = () => localStorage.getItem(KEY) === "1";

export function toggle() {
  localStorage.setItem(KEY, isLarge() ? "0" : "1");
  show();
}

function show() {
  document.documentElement.classList.toggle("vgl-projector", isLarge());
  for (const tell of followers) tell(isLarge());
}

const onKey = (event) => { if (event.key === "p" && !isTaken(event)) toggle(); };

/** Call `tell` with each change from now on, and let key p change it; what is returned ends that. */
export function follow(tell) {
  if (!followers.size) document.addEventListener("keydown", onKey);
  followers.add(tell);
  document.documentElement.classList.toggle("vgl-projector", isLarge());
  return () => {
    followers.delete(tell);
    if (!followers.size) document.removeEventListener("keydown", onKey);
  };
}
