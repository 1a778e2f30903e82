// Events as vertical lines with their words, on an axis of steps: the same rules as ui/event_lines.py.

const NEAR = 0.02, WORDS = 3, MOST = 12;

/** The lines from left to right, one for each place: { place, colour, short, words }.
 *  place  (run, step) -> place on the axis; usual: colour of what is not one contender's */
export function told(sides, place, usual) {
  const alone = sides.length === 1;
  const found = sides.flatMap((side) =>
    (side.run?.header.events ?? [])
      .filter(({ kind }) => alone || kind !== "phase")
      .map((event) => ({ where: place(side.run, event.step), side, event })));
  found.sort((a, b) => a.where - b.where);
  const lines = [];
  let whose;
  for (const { where, side, event } of found) {
    const [short, words] = [event.short, event.words].map((text) =>
      escaped(alone ? text : `${side.label}: ${text}`));
    const last = lines.at(-1);
    if (last?.place === where) {
      if (whose !== side) last.colour = usual;
      last.short += `, ${short}`;
      last.words += `<br>${words}`;
    } else {
      lines.push({ place: where, colour: side.label ? side.colour : usual, short, words });
      whose = side;
    }
  }
  return alone || lines.length <= MOST ? lines : [];
}

/** Shapes and annotations of the lines; neighbours that are too near have one label together. */
export function drawn(lines, span, font, background) {
  const shapes = lines.map(({ place, colour }) => ({
    type: "line", x0: place, x1: place, y0: 0, y1: 1, yref: "paper",
    line: { color: colour, width: 2, dash: "dot" },
  }));
  const annotations = near(lines, NEAR * span).map((some) => ({
    x: some[0].place, y: 1, yref: "paper", text: joined(some.map(({ short }) => short)),
    hovertext: some.map(({ words }) => words).join("<br>"), showarrow: false,
    textangle: -90, xanchor: "left", yanchor: "top", font: { ...font, color: some[0].colour },
    ...(background ? { bgcolor: background, opacity: 0.85 } : {}),
  }));
  return { shapes, annotations };
}

function near(lines, distance) {
  const groups = [];
  for (const line of lines) {
    if (groups.length && line.place - groups.at(-1)[0].place < distance) groups.at(-1).push(line);
    else groups.push([line]);
  }
  return groups;
}

function joined(words) {
  const rest = words.length - WORDS;
  return words.slice(0, WORDS).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

/** Plotly reads tags in texts: a run's words must not make any. */
export function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
