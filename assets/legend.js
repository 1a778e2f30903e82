// Words and their keys beside the charts: what a colour, a dash, a marker or a mark stands for.

const STROKES = { // lengths drawn and left out, in pixels
  dash: [8, 5], dot: [3, 3], dashdot: [8, 4, 3, 4], longdash: [14, 5], longdashdot: [13, 4, 3, 4],
};
const SIGNS = {
  "circle-open": "○", "diamond-open": "◇", diamond: "◆", square: "■", "triangle-up": "▲", star: "★", "triangle-down": "▼", circle: "●",
};

/** Change a text only where it differs, so that a selection in it lives. */
export function put(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** What the traces that are there are called, each once: name -> { kind, colour, dash, symbol }. */
export function entriesOf(traces) {
  const told = traces.filter(({ name, showlegend }) => name && showlegend !== false);
  told.sort((a, b) => (a.legendrank ?? 1000) - (b.legendrank ?? 1000)); // Plotly's own rule
  return new Map(told.map((trace) => [trace.name, keyOf(trace)]));
}

function keyOf({ type, mode, colorscale, line, marker }) {
  if (type === "heatmap") return { kind: "cell", colour: colorscale[1][1] };
  if (mode === "markers" && SIGNS[marker.symbol]) return { kind: "sign", colour: marker.color, symbol: marker.symbol };
  if (mode === "markers") return { kind: "cross", colour: marker.color };
  return { kind: "line", colour: line.color, dash: line.dash, symbol: marker?.symbol };
}

/** Entries as words beside their keys; nothing is touched where they are the same. */
export function showLegend(place, entries) {
  const signature = JSON.stringify([...entries]);
  if (place.dataset.signature === signature) return;
  place.dataset.signature = signature;
  place.textContent = "";
  for (const [name, key] of entries) {
    const entry = span("vgl-entry", place);
    drawKey(span("", entry), key);
    span("vgl-entry-name", entry).textContent = name;
  }
}

/** A short line with its dash and marker, a cell or a cross. */
export function drawKey(place, { kind, colour, dash, symbol }) {
  const signature = [kind, colour, dash, symbol].join();
  if (place.dataset.signature === signature) return;
  place.dataset.signature = signature;
  place.className = `vgl-key vgl-key-${kind}`;
  place.style.setProperty("--colour", colour);
  place.style.setProperty("--stroke", stroke(dash));
  const signed = kind === "sign" || (kind === "line" && dash && symbol);
  place.textContent = signed ? SIGNS[symbol] ?? "" : "";
}

function stroke(dash) {
  const lengths = STROKES[dash] ?? [...(dash ?? "").matchAll(/([\d.]+)px/g)].map(([, length]) => Number(length));
  if (!lengths.length) return "linear-gradient(var(--colour), var(--colour))";
  let at = 0;
  const stops = lengths.map((length, index) => {
    const from = at;
    at += length;
    return `${index % 2 ? "transparent" : "var(--colour)"} ${from}px ${at}px`;
  });
  return `repeating-linear-gradient(90deg, ${stops.join(", ")})`;
}

function span(className, parent) {
  const made = document.createElement("span");
  made.className = className;
  return parent.appendChild(made);
}
