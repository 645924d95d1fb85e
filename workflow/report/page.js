// The page's charts and tables, and the address, which keeps what they show: #place?name=value&...

const DATA = JSON.parse(document.getElementById("data").textContent);
const DARK = matchMedia("(prefers-color-scheme: dark)");
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// State: every named control of a form that is not as the page has it, and which details are open.

const isDefault = (control) =>
  control.type === "checkbox" ? control.checked === control.defaultChecked
    : control.tagName === "SELECT" ? control.options[control.selectedIndex]?.defaultSelected
      : control.value === control.defaultValue;

function stateOfPage() {
  const state = new URLSearchParams();
  for (const form of all("form[id]")) {
    for (const name of new Set(all("[name]", form).map((control) => control.name))) {
      const controls = all(`[name="${name}"]`, form);
      if (controls.every(isDefault)) continue;
      const values = new FormData(form).getAll(name);
      for (const value of values.length ? values : [""]) state.append(`${form.id}.${name}`, value);
    }
  }
  all("details[open]").forEach((details) => state.append("open", details.id));
  return state;
}

function restore(state) {
  for (const form of all("form[id]")) {
    for (const control of all("[name]", form)) {
      const values = state.getAll(`${form.id}.${control.name}`);
      if (control.type === "checkbox") control.checked = values.length ? values.includes(control.value) : control.defaultChecked;
      else if (control.tagName === "SELECT") {
        const wanted = [...control.options].find((option) => option.value === values[0]);
        (wanted ?? [...control.options].find((option) => option.defaultSelected)).selected = true;
      } else control.value = values[0] ?? control.defaultValue;
    }
    form.dispatchEvent(new Event("restored"));
  }
  all("details").forEach((details) => { details.open = state.getAll("open").includes(details.id); });
}

const address = () => location.hash.slice(1).split(/\?(.*)/s);

function keep() {
  const state = `${stateOfPage()}`;
  history.replaceState(null, "", `#${address()[0]}${state && `?${state}`}`);
}

// Tables: sorted by a column, and filtered by words.

function enhance(frame) {
  const table = frame.querySelector("table");
  const rows = [...table.tBodies[0].rows];
  const filter = make("input", { type: "search", name: "filter", placeholder: "Filter", ariaLabel: `Filter: ${table.caption.textContent}` });
  const sort = make("input", { hidden: true, name: "sort" });
  const shown = make("output", {});
  const form = make("form", { id: `table-${table.id}` }, filter, sort);
  form.addEventListener("submit", (event) => event.preventDefault());
  const tools = frame.querySelector(".tools");
  tools.prepend(form);
  tools.append(shown);
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    const button = make("button", { type: "button" }, ...head.childNodes);
    button.addEventListener("click", () => {
      const [column, direction] = sort.value.split(" ");
      sort.value = +column !== index || !direction ? `${index} ascending` : direction === "ascending" ? `${index} descending` : "";
      arrange();
      keep();
    });
    head.append(button);
  });
  const number = (text) => parseFloat(text.replace(/,/g, "").replace("−", "-"));
  const text = (row, column) => row.cells[column].textContent.trim();

  function arrange() {
    const words = filter.value.toLowerCase().split(/\s+/);
    let visible = 0;
    for (const row of rows) {
      const content = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => content.includes(word));
      visible += !row.hidden;
    }
    shown.textContent = filter.value.trim() ? `${visible} of ${rows.length} rows` : "";
    const [column, direction] = sort.value.split(" ");
    heads.forEach((head, index) => {
      if (direction && +column === index) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    });
    const numeric = direction && rows.every((row) => /^[-+−\d–]/.test(text(row, column)));
    const order = (one, other) => {
      if (!direction) return 0;
      const [a, b] = [text(one, column), text(other, column)];
      const [x, y] = [number(a), number(b)];
      if (numeric && (isNaN(x) || isNaN(y))) return isNaN(x) - isNaN(y);
      return (numeric ? x - y : a.localeCompare(b, "en", { numeric: true })) * (direction === "ascending" ? 1 : -1);
    };
    table.tBodies[0].append(...[...rows].sort(order));
  }
  filter.addEventListener("input", () => { arrange(); keep(); });
  form.addEventListener("restored", arrange);
}

// Charts.

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isShare = (metric) => metric.includes("accuracy");
const format = (metric) => (isShare(metric) ? ".2%" : ".3~g");

// The losses' colours are made for paper; on a dark page they are mixed with white.
const onPage = (color) => (DARK.matches ? `#${color.slice(1).match(/../g).map((hex) =>
  Math.round(parseInt(hex, 16) * 0.6 + 255 * 0.4).toString(16).padStart(2, "0")).join("")}` : color);

const config = () => ({
  background: style("--paper"),
  font: "system-ui, sans-serif",
  view: { stroke: null },
  axis: { labelColor: style("--quiet"), titleColor: style("--quiet"), domainColor: style("--quiet"), tickColor: style("--quiet"), gridColor: style("--rule"), gridOpacity: 0.6, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", labelOverlap: true },
  legend: { labelColor: style("--ink"), titleColor: style("--quiet"), labelFontSize: 13, titleFontSize: 12, titleFontWeight: "normal", },
  header: { labelColor: style("--ink"), labelFontSize: 13, labelFontWeight: 600, title: null },
  title: { color: style("--ink") },
});

function chosen(form) {
  const values = new FormData(form);
  const sets = Object.fromEntries(["losses", "widths", "budgets", "seeds"].map((name) => [name, new Set(values.getAll(name))]));
  const columns = DATA[form.dataset.experiment][form.dataset.chart];
  const metric = values.get("metric");
  const rows = [];
  columns.loss.forEach((loss, i) => {
    const row = { loss, width: columns.width[i], epochs: columns.epochs[i], seed: columns.seed[i], value: columns[metric][i], epoch: columns.epoch?.[i] };
    const isChosen = sets.losses.has(loss) && sets.widths.has(`${row.width}`) && sets.budgets.has(`${row.epochs}`) && sets.seeds.has(`${row.seed}`);
    const fits = row.value !== null && (values.get("y") !== "log" || row.value > 0) && (values.get("x") !== "log" || row.epoch > 0);
    if (isChosen && fits) rows.push(row);
  });
  return { metric, title: form.elements.metric.selectedOptions[0].textContent, rows, get: (name) => values.get(name) };
}

function overSeeds(rows) {
  const groups = Map.groupBy(rows, (row) => [row.loss, row.width, row.epochs, row.epoch].join("\n"));
  return [...groups.values()].map((part) => {
    const values = part.map((row) => row.value);
    return { ...part[0], value: values.reduce((a, b) => a + b) / values.length, low: Math.min(...values), high: Math.max(...values), seeds: values.length };
  });
}

function colors(experiment) {
  const losses = DATA[experiment].losses;
  const domain = losses.map((loss) => loss.name);
  const legend = { orient: "top", title: null, columns: 0, symbolType: "stroke", symbolOpacity: 1, symbolStrokeWidth: 2.5, symbolSize: 500 };
  return {
    color: { field: "loss", type: "nominal", scale: { domain, range: losses.map((loss) => onPage(loss.color)) }, legend },
    strokeDash: { field: "loss", type: "nominal", scale: { domain, range: losses.map((loss) => (loss.dash.length ? loss.dash : [1, 0])) }, legend },
  };
}

const shown = (value, metric) => (isShare(metric) ? `${(100 * value).toFixed(2)}%` : `${+value.toPrecision(3)}`);

// What is shown at each epoch of a panel: where it lies on the axis, and the values of each loss in words.
function epochs(points, losses, metric) {
  const values = Map.groupBy(points, (point) => point.epoch);
  const ordered = [...values.keys()].sort((a, b) => a - b);
  return ordered.map((epoch, i) => ({
    kind: "epoch", panel: points[0].panel, epoch,
    from: (epoch + (ordered[i - 1] ?? epoch)) / 2, to: (epoch + (ordered[i + 1] ?? epoch)) / 2,
    ...Object.fromEntries(losses.map((loss, number) => [`loss${number}`, values.get(epoch).filter((point) => point.loss === loss).map((point) =>
      shown(point.value, metric) + (point.seeds > 1 ? ` (${shown(point.low, metric)} to ${shown(point.high, metric)})` : "")).join(", ")])),
  }));
}

const widest = (values) => [Math.min(...values), Math.max(...values)];

const charts = {
  trajectories(form, room) {
    const { metric, title, rows, get } = chosen(form);
    const banded = get("lines") === "band";
    const points = (banded ? overSeeds(rows) : rows).map((row) => ({ ...row, kind: "value", panel: `width ${row.width}, ${row.epochs} epochs`, low: row.low ?? row.value, high: row.high ?? row.value }));
    const panels = [...new Set(points.map((point) => point.panel))];
    const columns = Math.max(1, Math.min(panels.length, 2, Math.floor(room / 300)));
    const width = Math.max(160, Math.floor(room / columns) - 62);
    const zoom = (name, values) => (form.elements[name].value ? JSON.parse(form.elements[name].value) : widest(values));
    const x = { field: "epoch", type: "quantitative", title: "epoch", scale: { type: get("x"), domain: zoom("zoom-x", points.map((point) => point.epoch)), nice: false } };
    const scale = { type: get("y"), domain: zoom("zoom-y", points.flatMap((point) => [point.low, point.high])), nice: !form.elements["zoom-y"].value };
    const axis = { format: isShare(metric) ? "~%" : "~g", title: null, ...(get("y") === "log" && { labelOverlap: "greedy", tickCount: 5 }) };
    const y = { field: "value", type: "quantitative", scale, axis };
    const { color, strokeDash } = colors(form.dataset.experiment);
    const detail = banded ? [] : [{ field: "seed" }];
    const only = (kind) => [{ filter: `datum.kind === "${kind}"` }];
    const losses = DATA[form.dataset.experiment].losses.map((loss) => loss.name);
    const values = points.filter((point) => point.kind === "value");
    for (const part of Map.groupBy(values, (point) => point.panel).values()) points.push(...epochs(part, losses, metric));
    const layers = [
      { mark: { type: "line", strokeWidth: 2.25, clip: true, point: { filled: true, size: 22 } }, transform: only("value"), encoding: { x, y, color, strokeDash, detail },
        params: [{ name: "zoom", select: { type: "interval", zoom: "wheel![event.ctrlKey || event.metaKey]" }, bind: "scales" }] },
      ...(banded ? [{ mark: { type: "area", opacity: 0.18, clip: true }, transform: only("value"), encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color } }] : []),
      { mark: { type: "rect", clip: true, color: style("--quiet") }, transform: only("epoch"),
        encoding: { x: { ...x, field: "from" }, x2: { field: "to" }, opacity: { condition: { param: "near", empty: false, value: 0.15 }, value: 0 },
          tooltip: [{ field: "epoch", type: "nominal" }, ...losses.map((title, i) => ({ field: `loss${i}`, title, type: "nominal" })).filter(({ field }) => points.some((point) => point[field]))] },
        params: [{ name: "near", select: { type: "point", on: "pointerover", clear: "pointerout" } }] },
    ];
    return {
      data: { values: points },
      description: `${title} over the epochs: ${panels.join("; ")}`,
      title: { text: title, anchor: "start", fontSize: 14, fontWeight: 600 },
      facet: { field: "panel", type: "nominal", sort: panels, header: { title: null } },
      columns,
      spec: { width, height: panels.length > 1 ? 220 : 340, layer: layers },
    };
  },

  heatmap(form, room) {
    const { metric, title, rows, get } = chosen(form);
    const cells = overSeeds(rows);
    const losses = [...new Set(cells.map((cell) => cell.loss))];
    const budgets = new Set(cells.map((cell) => cell.epochs)).size, heights = new Set(cells.map((cell) => cell.width)).size;
    const columns = Math.max(1, Math.min(losses.length, 4, Math.floor(room / Math.max(150, 62 * budgets + 50))));
    const step = Math.min(96, Math.max(34, (Math.floor(room / columns) - 60) / budgets));
    const [low, high] = widest(cells.map((cell) => cell.value));
    const place = get("y") === "log" ? (value) => Math.log(value / low) / Math.log(high / low) : (value) => (value - low) / (high - low);
    for (const cell of cells) cell.label = place(cell.value) > 0.55 ? "dark" : "light";
    const words = { type: "quantitative", format: format(metric) };
    const tooltip = [
      ...["loss", "width", "epochs", "seeds"].map((field) => ({ field, type: "nominal" })),
      { field: "value", title: "mean", ...words }, { field: "low", title: "lowest seed", ...words }, { field: "high", title: "highest seed", ...words },
    ];
    const position = {
      x: { field: "epochs", type: "ordinal", title: "epochs", axis: { labelAngle: 0, domain: false, ticks: false, grid: false } },
      y: { field: "width", type: "ordinal", sort: "descending", title: "width", axis: { domain: false, ticks: false, grid: false } },
    };
    return {
      data: { values: cells },
      description: `${title} by width and epochs, a panel for each loss: ${losses.join(", ")}`,
      title: { text: title, anchor: "start", fontSize: 14, fontWeight: 600 },
      facet: { field: "loss", type: "nominal", sort: losses, header: { title: null } },
      columns,
      spec: {
        width: { step }, height: { step: heights > 4 ? 40 : 52 }, encoding: { ...position, tooltip },
        layer: [
          { mark: { type: "rect", stroke: style("--paper"), strokeWidth: 2 }, encoding: { color: { field: "value", type: "quantitative", scale: { scheme: "cividis", type: get("y"), domain: [low, high], nice: false }, legend: { orient: "bottom", title: null, format: isShare(metric) ? ".1%" : "~g", gradientLength: Math.min(260, room - 60), gradientThickness: 12 } } } },
          ...(step > 44 ? [{ mark: { type: "text", fontSize: 12 }, encoding: { text: { field: "value", type: "quantitative", format: format(metric) }, color: { condition: { test: "datum.label === 'dark'", value: "#111" }, value: "#fff" } } }] : []),
        ],
      },
    };
  },
};

function download(name, uri) {
  make("a", { href: uri, download: name }).click();
}

function csv(rows, names) {
  const quoted = (value) => (/[",\n]/.test(value) ? `"${`${value}`.replace(/"/g, '""')}"` : value);
  return `data:text/csv;charset=utf-8,${encodeURIComponent([names, ...rows.map((row) => names.map((name) => row[name] ?? ""))].map((line) => line.map(quoted).join(",")).join("\n"))}\n`;
}

function explorer(form) {
  const frame = form.nextElementSibling;
  const chart = make("div");
  const name = form.id;
  let view;
  const button = (text, act, label = text) => {
    const made = make("button", { type: "button", ariaLabel: label }, text);
    made.addEventListener("click", act);
    return made;
  };
  const image = (kind) => button(kind.toUpperCase(), async () => download(`${name}.${kind}`, await view.toImageURL(kind, 2)), `Download as ${kind.toUpperCase()}`);
  const values = button("CSV", () => {
    const rows = chosen(form).rows;
    download(`${name}.csv`, csv(rows, ["loss", "width", "epochs", "seed", ...(rows[0]?.epoch === undefined ? [] : ["epoch"]), "value"]));
  }, "Download the values as CSV");
  const tools = make("div", { className: "tools" }, image("png"), image("svg"), values);
  frame.append(chart, tools);
  if (form.dataset.chart === "trajectories") {
    for (const axis of ["zoom-x", "zoom-y"]) form.append(make("input", { hidden: true, name: axis }));
    tools.append(button("+", () => magnify(0.7), "Zoom in"), button("−", () => magnify(1 / 0.7), "Zoom out"), button("Whole", () => { setZoom(null, null); draw(); }, "Show the whole"));
    frame.append(make("p", { className: "hint" }, "Drag to move, Ctrl and wheel or the buttons to zoom."));
  }

  function setZoom(x, y) {
    form.elements["zoom-x"].value = x ? JSON.stringify(x) : "";
    form.elements["zoom-y"].value = y ? JSON.stringify(y) : "";
    keep();
  }
  const short = (domain) => domain.map((value) => +value.toPrecision(4));
  let domains = {};
  function magnify(factor) {
    const around = ([low, high], type) => {
      const [there, back] = type === "log" ? [Math.log, Math.exp] : [(v) => v, (v) => v];
      const [a, b] = [there(low), there(high)];
      return short([(a + b) / 2 - (factor * (b - a)) / 2, (a + b) / 2 + (factor * (b - a)) / 2].map(back));
    };
    setZoom(around(domains.epoch, form.elements.x.value), around(domains.value, form.elements.y.value));
    draw();
  }

  // One drawing after the other, and of those that are asked for meanwhile the last.
  let asked = 0;
  let drawn = Promise.resolve();
  function draw() {
    const number = ++asked;
    drawn = drawn.then(() => number === asked && drawNow());
  }

  async function drawNow() {
    const spec = charts[form.dataset.chart](form, frame.clientWidth);
    chart.style.minHeight = `${chart.offsetHeight}px`; // so that nothing below jumps
    view?.finalize();
    view = undefined;
    if (!spec.data.values.length) {
      chart.replaceChildren(make("p", {}, "Nothing is chosen."));
    } else {
      const options = { actions: false, renderer: "svg", config: config(), mode: "vega-lite" };
      ({ view } = await vegaEmbed(chart, { $schema: "https://vega.github.io/schema/vega-lite/v6.json", ...spec }, options));
      if (form.dataset.chart === "trajectories") follow(spec.spec.layer[0].encoding);
    }
    chart.style.minHeight = "";
  }
  // The zoom by the mouse, into the address.
  function follow({ x, y }) {
    domains = { epoch: x.scale.domain, value: y.scale.domain };
    view.addSignalListener("zoom", (_, zoom) => {
      if (!zoom?.epoch || !zoom?.value) return;
      domains = { epoch: short(zoom.epoch), value: short(zoom.value) };
      setZoom(domains.epoch, domains.value);
    });
  }

  form.addEventListener("change", (event) => {
    if (form.elements["zoom-x"] && event.target.tagName === "SELECT") setZoom(null, null);
    keep();
    draw();
  });
  form.addEventListener("restored", draw);
  DARK.addEventListener("change", draw);
  let width = frame.clientWidth;
  new ResizeObserver(() => {
    if (frame.clientWidth === width) return;
    width = frame.clientWidth;
    draw();
  }).observe(frame);
}

// A figure's PNG is on the page already.
all("figure").forEach((figure) => {
  const image = figure.querySelector("img");
  const link = make("a", { className: "download", href: image.src, download: `${figure.id.replace(/^figure-/, "")}.png` }, "PNG");
  figure.querySelector(".tools").append(link);
});
all(".table").forEach(enhance);
all(".explorer > form").forEach(explorer);
// What the charts show is folded away, unless somebody prints the page or looks at it without scripts.
all("details.charted").forEach((details) => { details.open = false; });
all("details").forEach((details) => details.addEventListener("toggle", keep));

function arrive() {
  const [place, state] = address();
  if (state === undefined) return keep();
  restore(new URLSearchParams(state));
  document.getElementById(decodeURIComponent(place))?.scrollIntoView();
}
restore(new URLSearchParams(address()[1]));
if (address()[0]) document.getElementById(decodeURIComponent(address()[0]))?.scrollIntoView();
addEventListener("hashchange", arrive);
