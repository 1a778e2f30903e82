// A chart as a file: PNG and SVG as it is drawn, and a page with Plotly inside, made by the server.

const SCALE = 2; // of a PNG: sharp on a slide
const HEAD = 64; // pixels above the plot, for the title and the keys

/** Buttons of a chart's own menu.
 *  told  () -> { name, title, address } of this moment: file name, heading, where its page is */
export function buttons(Plotly, told) {
  const save = (format) => ({
    name: `save_${format}`, title: `Save as ${format.toUpperCase()}`,
    icon: format === "png" ? Plotly.Icons.camera : Plotly.Icons.drawopenpath,
    click: (chart) => picture(Plotly, chart, format, told()),
  });
  const page = {
    name: "save_html", title: "Save as HTML, which opens anywhere", icon: Plotly.Icons.disk,
    click: () => download(told().address, ""), // the server names the file
  };
  const pages = told().address ? [page] : [];
  return [["zoom2d", "pan2d"], [save("png"), save("svg"), ...pages]];
}

/** With its title, keys and background, which on the page are not the plot's own. */
async function picture(Plotly, chart, format, { name, title, background }) {
  const { margin, width, height, ...layout } = chart.layout;
  const figure = {
    data: chart.data.filter(({ visible }) => visible !== false),
    layout: {
      ...layout, margin: { ...margin, t: HEAD }, showlegend: true, paper_bgcolor: background, plot_bgcolor: background,
      title: { text: title, x: 0.01, xanchor: "left", y: 0.99, yanchor: "top" },
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" },
    },
  };
  const size = { width, height: height + HEAD, scale: format === "png" ? SCALE : 1 };
  download(await Plotly.toImage(figure, { format, ...size }), `${name}.${format}`);
}

function download(address, name) {
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
