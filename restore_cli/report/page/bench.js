"use strict";
// The sortable, filterable table and the two charts.
{
  const find = (id) => document.getElementById(id);

  // Table: measured and published rows are sorted separately

  const table = find("figures");
  const heads = [...table.tHead.rows[0].cells];
  const order = new Intl.Collator("en", { numeric: true });

  function compare(one, other, column, sign) {
    const [a, b] = [one.cells[column], other.cells[column]];
    if (a.dataset.value === undefined) return sign * order.compare(a.textContent, b.textContent);
    const missing = (a.dataset.value === "") - (b.dataset.value === "");
    return missing || sign * (Number(a.dataset.value) - Number(b.dataset.value) || 0);
  }

  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
    const best = "higherIsBetter" in head.dataset ? -1 : 1; // sort order in which the best comes first
    const sign = head.ariaSort === "none" ? best : head.ariaSort === "ascending" ? -1 : 1;
    for (const other of heads) other.ariaSort = "none";
    head.ariaSort = sign > 0 ? "ascending" : "descending";
    for (const body of table.tBodies) {
      const rows = [...body.querySelectorAll("tr:not(.divide)")];
      body.append(...rows.sort((one, other) => compare(one, other, column, sign)));
    }
  }));

  const form = find("filter");
  function filter() {
    const [task, set, text] = ["task", "set", "text"].map((name) => form.elements[name].value);
    const words = text.toLowerCase().split(/\s+/);
    const rows = [...table.querySelectorAll("tbody tr:not(.divide)")];
    for (const row of rows) {
      const content = row.textContent.toLowerCase();
      row.hidden = (task && row.dataset.task !== task) || (set && row.dataset.set !== set)
        || !words.every((word) => content.includes(word));
    }
    for (const divide of table.querySelectorAll(".divide")) {
      divide.hidden = !divide.parentElement.querySelector("tr:not(.divide):not([hidden])");
    }
    find("count").value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  }
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();

  // Charts

  const COLORS = ["#4477aa", "#dd5566", "#228833", "#bb9911", "#33a9cc", "#aa4499", "#e07b39", "#3aa38a", "#8a6d3b", "#7f7f8a"];
  const SYMBOLS = [["circle", "●"], ["square", "■"], ["diamond", "◆"], ["triangle-up", "▲"], ["cross", "✚"]];
  const OPTIONS = { responsive: true, displayModeBar: false };
  const bench = JSON.parse(find("bench").textContent);
  const models = [...new Set(bench.rows.map((row) => row.model))];
  const color = (model) => COLORS[models.indexOf(model) % COLORS.length];
  const symbol = (model) => SYMBOLS[Math.floor(models.indexOf(model) / COLORS.length) % SYMBOLS.length];
  const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;"); // plotly interprets some HTML

  const style = (element) => getComputedStyle(element);

  function layout(empty, extra) {
    const quiet = style(find("count")).color;
    const axis = { gridcolor: style(table.parentElement).borderTopColor, zeroline: false, automargin: true, fixedrange: true };
    const { x, y, ...rest } = extra;
    return {
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family: "system-ui, sans-serif", size: 13, color: quiet },
      showlegend: false,
      annotations: empty ? [{ text: empty, showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }] : [],
      hoverlabel: { bgcolor: style(find("scatter")).backgroundColor, font: { family: "system-ui, sans-serif", color: style(document.body).color } },
      margin: { l: 60, r: 20, t: 20, b: 56 },
      dragmode: false,
      xaxis: { ...axis, ...x },
      yaxis: { ...axis, ...y },
      ...rest,
    };
  }

  /** Quality against cost; rows without a measured cost, such as published ones, are in a separate strip on the right. */
  function scatter(rows, cost) {
    const drawn = rows.filter((row) => row.quality !== null);
    const figure = plain((drawn[0] ?? rows[0]).figure);
    const apart = drawn.filter((row) => !(cost in row.costs));
    const split = apart.length === drawn.length ? 0 : apart.length ? 0.86 : 1;
    const traces = [true, false].flatMap((measured) => [true, false].flatMap((known) => models.map((model) => {
      const own = drawn.filter((row) => row.model === model && row.measured === measured && cost in row.costs === known);
      return {
        x: own.map((row) => (known ? row.costs[cost] : apart.indexOf(row) % 3 - 1)),
        y: own.map((row) => row.quality),
        xaxis: known ? "x" : "x2",
        mode: "markers",
        marker: { color: color(model), symbol: symbol(model)[0] + (measured ? "" : "-open"), size: 12, line: { width: measured ? 0 : 2 } },
        hovertemplate: `<b>${plain(model)}</b>${measured ? "" : " (published)"}<br>%{y:.4~g} ${figure}${known ? `<br>%{x:,.4~g} ${plain(cost)}` : ""}<extra></extra>`,
      };
    }))).filter((trace) => trace.x.length);
    const timed = drawn.filter((row) => row.measured && cost in row.costs);
    const best = timed.sort((a, b) => a.costs[cost] - b.costs[cost] || b.quality - a.quality)
      .reduce((kept, row) => (row.quality > (kept.at(-1)?.quality ?? -Infinity) ? [...kept, row] : kept), []);
    const front = {
      x: best.map((row) => row.costs[cost]), y: best.map((row) => row.quality), mode: "lines", hoverinfo: "skip",
      line: { shape: "hv", dash: "dot", width: 1.5, color: style(find("count")).color },
    };
    const ticks = Array.from({ length: 40 }, (_, place) => (place % 2 ? 3 : 1) * 10 ** (Math.floor(place / 2) - 8));
    const empty = drawn.length ? "" : `No row has a finite ${figure}.`;
    find("read").textContent = [
      "Higher and further left is better. The dotted line connects the best measured models for each cost.",
      apart.length ? "Models without a measured cost are in the strip on the right." : "",
      drawn.some((row) => !row.measured) ? "Hollow markers are published results." : "",
    ].join(" ");
    Plotly.react("scatter", [front, ...traces], layout(empty, {
      x: { type: "log", domain: [0, Math.max(split - 0.02, 0.01)], visible: split > 0, title: { text: plain(cost), standoff: 10 }, tickvals: ticks, ticktext: ticks.map((tick) => tick.toLocaleString("en")) },
      y: { title: { text: figure } },
      xaxis2: { domain: [Math.min(split, 0.99), 1], visible: split < 1, range: [-2, 2], tickvals: [0], ticktext: ["none"], showgrid: false, zeroline: false, fixedrange: true },
    }), OPTIONS);
    find("legend").replaceChildren(...models.filter((model) => drawn.some((row) => row.model === model)).map((model) => {
      const [item, mark] = [document.createElement("li"), document.createElement("span")];
      mark.textContent = symbol(model)[1];
      mark.style.color = color(model);
      item.append(mark, ` ${model}`);
      return item;
    }));
  }

  const finite = (row) => row.images.filter(([, value]) => value !== null);

  function median(row) {
    const values = finite(row).map(([, value]) => value).sort((a, b) => a - b);
    return values[Math.floor(values.length / 2)];
  }

  function spread(rows) {
    const drawn = rows.filter((row) => finite(row).length).sort((a, b) => median(a) - median(b));
    const traces = drawn.map((row) => ({
      type: "box",
      x: finite(row).map(([, value]) => value),
      text: finite(row).map(([name]) => plain(name)),
      name: plain(row.model),
      boxpoints: "all",
      pointpos: 0,
      jitter: 0.5,
      line: { width: 1.5 },
      marker: { color: color(row.model), size: 5, opacity: 0.7 },
      hoveron: "points",
      hovertemplate: "%{text}<br>%{x:.2f} dB<extra></extra>",
    }));
    const equal = rows.filter((row) => finite(row).length < row.images.length);
    const excluded = equal.map((row) => `${row.model} (${row.images.length - finite(row).length} of ${row.images.length})`);
    find("equal").textContent = excluded.length ? `Excluded, because identical to the reference with infinite PSNR: ${excluded.join(", ")}.` : "";
    find("spread").style.height = `${110 + 46 * Math.max(drawn.length, 3)}px`;
    Plotly.react("spread", traces, layout(drawn.length ? "" : "No results per image.", {
      x: { title: { text: "PSNR per image, dB", standoff: 10 } },
      y: { showgrid: false, ticksuffix: "  " },
    }), OPTIONS);
  }

  const [group, cost] = ["group", "cost"].map(find);
  group.append(...[...new Set(bench.rows.map((row) => row.group))].map((name) => new Option(name)));
  cost.append(...bench.costs.filter((name) => bench.rows.some((row) => name in row.costs)).map((name) => new Option(name)));
  cost.parentElement.hidden = cost.length < 2;
  function draw() {
    const rows = bench.rows.filter((row) => row.group === group.value);
    scatter(rows, cost.value);
    spread(rows);
  }
  group.addEventListener("change", draw);
  cost.addEventListener("change", draw);
  find("theme").addEventListener("change", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
}
