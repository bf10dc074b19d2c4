"use strict";
/* The interactive figures of the results. Each is drawn from the tables of the page when its entry is opened, and follows
   the sorting and the filter of the table beside it. */
const satCharts = (page) => {
const { data, items, names, measures, pair, columns, el, known, show, interval, brief, looks, swatch, spread, onPlot, coloured, ROLES } = page;
const MOST_ROWS = 60, MOST_NAMES = 80, MOST_PAIRS = 20000, ROW = 18;
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"], MARKERS = ["circle", "square", "triangle", "diamond"];
const WORDS = { sat: "SAT", affinity: "affinity" };
const alpha = 1 - data.confidence + 1e-12;
const place = new Map(names.map((name, k) => [name, k]));
const followed = new Map();
const all = [];

/* --- numbers of a view */
const columnOf = (view, name) => data.tables[view.table]?.columns.find((column) => column.name === name)?.values;
const cell = (view, name, row) => (name ? columnOf(view, name)?.[row] ?? null : null);
const word = (value) => WORDS[value] ?? (known(value) ? String(value) : "not known");
const title = (column) => column.title || column.name.replaceAll("_", " ");
const axisTitle = (column) => `${title(column)}${column.share ? " (1 is 100 %)" : ""}`;

const NAMED = new Set(["model", "model_a", "model_b", "source", "target", "teacher", "members"]);
function rowsOf(chart) {
  const { view } = chart, kept = Object.entries({ ...(view.where || {}), ...Object.fromEntries([...chart.by].map(([key, value]) => [key, [value]])) });
  const count = data.tables[view.table].columns[0].values.length;
  const order = followed.get(view.table) || [...Array(count).keys()];
  const named = (view.label || view.name || []).filter((name) => NAMED.has(name));
  /* A model is not compared with itself. */
  const itself = (row) => named.length === 2 && cell(view, named[0], row) === cell(view, named[1], row);
  return order.filter((row) => !itself(row) && kept.every(([key, values]) => values.includes(String(cell(view, key, row)))));
}
/* Models that a row is about: only columns that name models count, and a set of models is joined by semicolons. */
function modelsOf(view, row) {
  const found = [];
  for (const name of view.label || view.name || []) {
    if (!NAMED.has(name)) continue;
    const value = String(cell(view, name, row));
    for (const one of place.has(value) ? [value] : value.split(";")) if (place.has(one)) found.push(place.get(one));
  }
  return found;
}
const labelOf = (view, row) => (view.label || view.name).map((name) => cell(view, name, row)).filter(known).map(word).join(" · ") || "–";
function said(view, column, row) {
  const value = cell(view, column.name, row), ends = interval(cell(view, column.low, row), cell(view, column.high, row), column.share);
  const p = cell(view, column.p, row);
  return `${title(column)}: ${show(value, column.share)}${ends ? ` (${ends})` : ""}${known(p) ? `, p ${p < 0.001 ? "< 0.001" : `= ${p.toFixed(3)}`}` : ""}`;
}

/* --- what is drawn: points with their texts and models, and everything around them */
const empty = () => ({
  points: { x: [], y: [], colour: [], fill: [], marker: [], size: [] }, tips: [], models: [], ends: { x0: [], y0: [], x1: [], y1: [], colour: [] },
  lines: { xs: [], ys: [], colour: [] }, bands: { xs: [], ys: [], colour: [] }, guides: { xs: [], ys: [] }, labels: [], legend: [], notes: [], height: 420, x: "", y: "",
});
function point(made, x, y, colour, marker, tip, models, hollow = false, size = 9) {
  const values = { x, y, colour, fill: hollow ? "#ffffff" : colour, marker, size };
  for (const [key, value] of Object.entries(values)) made.points[key].push(value);
  made.tips.push(tip);
  made.models.push(models);
}
function end(made, x0, y0, x1, y1, colour) {
  const values = { x0, y0, x1, y1, colour };
  if (known(x0) && known(y0) && known(x1) && known(y1)) for (const [key, value] of Object.entries(values)) made.ends[key].push(value);
}

function drawRows(chart) {
  const { view } = chart, made = empty(), step = view.values.length;
  const found = rowsOf(chart).filter((row) => view.values.some((column) => typeof cell(view, column.name, row) === "number"));
  const rows = found.slice(0, MOST_ROWS);
  view.values.forEach((column, k) => {
    const colour = COLOURS[k % 4], marker = MARKERS[k % 4];
    rows.forEach((row, at) => {
      const value = cell(view, column.name, row), y = at + (k + 1) / (step + 1), p = cell(view, column.p, row);
      if (typeof value !== "number") return;
      end(made, cell(view, column.low, row), y, cell(view, column.high, row), y, colour);
      point(made, value, y, colour, marker, [labelOf(view, row), said(view, column, row)], modelsOf(view, row), Boolean(column.p) && !(known(p) && p <= alpha));
    });
    if (step > 1) made.legend.push(el("span", {}, swatch(colour, marker), title(column)));
  });
  if (view.values.some((column) => column.p)) made.notes.push(`A mark is hollow where p is above ${+(1 - data.confidence).toPrecision(3)}, or not known.`);
  if (view.values.some((column) => column.low)) made.notes.push("Lines are intervals.");
  if (found.length > rows.length) made.notes.push(`The first ${rows.length} of ${found.length} rows are drawn; sort or filter the table to see others.`);
  made.rows = rows.map((row) => labelOf(view, row));
  made.x = view.axis || (step > 1 ? "" : axisTitle(view.values[0]));
  made.marks = view.marks;
  return made;
}

function drawPoints(chart) {
  const { view } = chart, made = empty();
  const rows = rowsOf(chart).filter((row) => typeof cell(view, view.x.name, row) === "number" && typeof cell(view, view.y.name, row) === "number");
  const own = columnOf(view, chart.colour), shared = columns.get(chart.colour);
  const values = rows.map((row) => (own ? own[row] : shared ? shared.values[modelsOf(view, row)[0]] : null));
  const { look, legend } = looks(own && new Set(own).size <= 8 ? values.map((value) => (known(value) ? String(value) : value)) : values, Boolean(own || shared), shared?.share);
  rows.forEach((row, k) => {
    const x = cell(view, view.x.name, row), y = cell(view, view.y.name, row), [colour, marker] = look[k];
    end(made, cell(view, view.x.low, row), y, cell(view, view.x.high, row), y, colour);
    end(made, x, cell(view, view.y.low, row), x, cell(view, view.y.high, row), colour);
    const tip = [labelOf(view, row), ...(view.same_scale ? [] : [said(view, view.x, row), said(view, view.y, row)])];
    point(made, x, y, colour, marker, own || shared ? [...tip, `${own ? chart.colour.replaceAll("_", " ") : shared.title}: ${word(values[k])}`] : tip, modelsOf(view, row), false, rows.length > 300 ? 6 : 9);
  });
  if (rows.length <= MOST_NAMES && view.name.length === 1 && view.name[0] !== "members") made.labels = rows.map((row) => labelOf(view, row));
  if (view.x.low || view.y.low) made.notes.push("Lines are intervals.");
  made.legend = legend;
  return { ...made, x: view.same_scale ? "" : axisTitle(view.x), y: view.same_scale ? "" : axisTitle(view.y), same: view.same_scale, diagonal: view.diagonal };
}

function drawPairs(chart) {
  const made = empty(), n = names.length, [one, other] = [chart.x, chart.y].map((key) => measures.get(key));
  const step = Math.max(1, Math.ceil((n * (n - 1)) / 2 / MOST_PAIRS));
  let count = 0;
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      if (count++ % step) continue;
      const x = pair(chart.x, i, j), y = pair(chart.y, i, j);
      if (!known(x) || !known(y)) continue;
      const tip = () => [`${names[i]} and ${names[j]}`, `${one.title}: ${show(x, one.share)}`, `${other.title}: ${show(y, other.share)}`];
      point(made, x, y, COLOURS[0], "circle", tip, [i, j], false, n > 100 ? 4 : 7);
    }
  }
  if (step > 1) made.notes.push(`Every ${step}th of ${count.toLocaleString("en-GB")} pairs is drawn.`);
  return { ...made, x: axisTitle(one), y: axisTitle(other) };
}

function drawLines(chart) {
  const { view } = chart, made = empty(), rows = rowsOf(chart).filter((row) => typeof cell(view, view.x.name, row) === "number");
  const groupWord = (value) => (view.group === "of" ? word(value) : `${view.group.replaceAll("_", " ")}: ${word(value)}`);
  const groups = view.group ? [...new Set(rows.map((row) => cell(view, view.group, row)))] : [null];
  let count = 0;
  for (const group of groups) {
    for (const column of view.values) {
      const colour = COLOURS[count % 4], marker = MARKERS[(count + Math.floor(count / 4)) % 4], name = view.group ? groupWord(group) : title(column);
      count++;
      const mine = rows.filter((row) => (!view.group || cell(view, view.group, row) === group) && typeof cell(view, column.name, row) === "number");
      mine.sort((a, b) => cell(view, view.x.name, a) - cell(view, view.x.name, b));
      const read = (key) => mine.map((row) => cell(view, key, row)), x = read(view.x.name);
      made.lines.xs.push(x); made.lines.ys.push(read(column.name)); made.lines.colour.push(colour);
      if (column.low) { made.bands.xs.push([...x, ...[...x].reverse()]); made.bands.ys.push([...read(column.low), ...read(column.high).reverse()]); made.bands.colour.push(colour); }
      for (const row of mine) point(made, cell(view, view.x.name, row), cell(view, column.name, row), colour, marker, [name, said(view, view.x, row), said(view, column, row)], []);
      made.legend.push(el("span", {}, swatch(colour, marker), name));
    }
  }
  return { ...made, x: axisTitle(view.x), y: view.values.length > 1 ? "" : axisTitle(view.values[0]) };
}

function drawTree(chart) {
  /* The axis is SAT and falls to the right, so that names stand at 100 % transfer. */
  const made = empty(), n = names.length, most = Math.log(100), y = new Map(data.tree.map((model, k) => [model, k + 0.5])), x = new Map();
  data.joins.forEach(([one, other, distance], k) => {
    const height = most - distance, [a, b] = [one, other].map((node) => [x.get(node) ?? most, y.get(node)]);
    made.lines.xs.push([a[0], height, height, b[0]]); made.lines.ys.push([a[1], a[1], b[1], b[1]]); made.lines.colour.push("#57606a");
    x.set(n + k, height); y.set(n + k, (a[1] + b[1]) / 2);
  });
  const column = columns.get("family"), { look, legend } = looks(data.tree.map((model) => column?.values[model] ?? null), Boolean(column));
  data.tree.forEach((model, k) => point(made, most, k + 0.5, ...look[k], [names[model]], [model]));
  made.rows = data.tree.map((model) => names[model]);
  made.notes.push("Models that join further to the left are more similar.");
  return { ...made, legend, falls: true, x: "SAT at which branches join" };
}

/* A heat map has its cells in rows from the top. */
function heatOf(chart) {
  const { view } = chart;
  if (view.measure) {
    const cells = data.tree.map((i) => data.tree.map((j) => (i === j ? NaN : pair(view.measure, i, j))));
    const one = measures.get(view.measure);
    return { names: data.tree.map((k) => names[k]), columns: data.tree.map((k) => names[k]), models: data.tree, cells, title: one.title, share: one.share, scale: one.scale, axes: one.directed ? ROLES : ["", ""] };
  }
  const rows = rowsOf({ ...chart, view: { ...view } }), read = (name) => rows.map((row) => word(cell(view, name, row)));
  const [first, second] = [read(view.row), read(view.column)], both = view.symmetric ? [[...first, ...second], [...first, ...second]] : [first, second];
  const [down, across] = both.map((values) => [...new Set(values)]);
  const cells = down.map(() => across.map(() => NaN));
  rows.forEach((row, k) => {
    const value = cell(view, view.value.name, row), [i, j] = [down.indexOf(first[k]), across.indexOf(second[k])];
    cells[i][j] = known(value) ? value : NaN;
    if (view.symmetric) cells[down.indexOf(second[k])][across.indexOf(first[k])] = cells[i][j];
  });
  return { names: down, columns: across, cells, title: title(view.value), share: view.value.share, axes: [view.column, view.row].map((name) => name.replaceAll("_", " ")) };
}

/* --- to Bokeh */
const DRAW = { rows: drawRows, points: drawPoints, pairs: drawPairs, lines: drawLines, tree: drawTree };
function template(view) {
  if (view.kind === "heat") return measures.get(view.measure)?.scale === "log" ? "rates" : "heat";
  return view.kind === "rows" || view.kind === "tree" ? "rows" : view.log ? "logarithms" : "numbers";
}
let embedded = 0;
async function embed(chart) {
  const wanted = template(chart.view);
  if (chart.template === wanted) return;
  chart.template = wanted;
  chart.plot.replaceChildren();
  const number = ++embedded, item = JSON.parse(JSON.stringify(items[wanted]).replaceAll(/"(p\d+)"/g, `"c${number}$1"`));
  chart.plot.id = `chart-plot-${number}`;
  const views = await Bokeh.embed.embed_item(item, chart.plot.id);
  chart.document = [...views][0].model.document;
  chart.find = (name) => chart.document.get_model_by_name(name);
  onPlot(chart.find("chart"), chart.plot, () => (chart.made?.cells ? nameHeat(chart) : nameDots(chart)));
  const figure = chart.find("chart");
  for (const range of [figure.x_range, figure.y_range]) range.change.connect(() => nameHeat(chart));
  for (const range of [figure.x_range, figure.y_range]) range.change.connect(() => { if (!chart.setting) nameDots(chart); });
}

async function draw(chart) {
  const turn = (chart.turn = (chart.turn || 0) + 1);
  await embed(chart);
  if (turn !== chart.turn) return;
  const made = chart.view.kind === "heat" ? heatOf(chart) : DRAW[chart.view.kind](chart);
  chart.made = made;
  const figure = chart.find("chart"), count = made.cells ? made.names.length : made.points.x.length;
  chart.plot.setAttribute("aria-label", `${chart.name}${chart.view.title ? `, ${chart.view.title}` : ""}: ${made.cells ? `heat map of ${made.names.length} rows` : `chart with ${count} points`}. ${chart.view.table ? "The table below it gives the same numbers." : "The table of the most similar pairs and the form beside the matrix give the same numbers."}`);
  chart.setting = true;
  if (made.cells) putHeat(chart, figure, made); else putPoints(chart, figure, made);
  chart.setting = false;
  if (!made.cells) nameDots(chart);
  chart.legend.replaceChildren(...(made.legend || []));
  chart.note.textContent = (made.notes || []).join(" ");
  marked(page.state.marked);
  chart.plot.dataset.drawn = turn;
}

function putHeat(chart, figure, made) {
  const cells = chart.find("chart-cells"), Array2D = cells.data.image[0].constructor, shape = [made.names.length, made.columns.length];
  const { drawn, mapper, words } = coloured(made.cells.flat(), made.scale, "cividis");
  chart.find("chart-colours").setv(mapper);
  [figure.above[0].axis_label, figure.left[0].axis_label] = made.axes;
  cells.data = { image: [new Array2D(Float32Array.from(drawn), shape)], x: [0], y: [0], dw: [shape[1]], dh: [shape[0]] };
  figure.height = Math.min(720, 190 + 26 * shape[0]);
  figure.x_range.setv({ start: 0, end: shape[1], reset_start: 0, reset_end: shape[1] });
  figure.y_range.setv({ start: shape[0], end: 0, reset_start: shape[0], reset_end: 0 });
  made.notes = [`Colour: ${made.title}. ${words}`];
  nameHeat(chart);
}
function nameHeat(chart) {
  if (!chart.made?.cells) return;
  const figure = chart.find("chart");
  for (const [range, axis, texts] of [[figure.x_range, figure.above[0], chart.made.columns], [figure.y_range, figure.left[0], chart.made.names]]) {
    const first = Math.max(0, Math.floor(Math.min(range.start, range.end))), last = Math.min(texts.length, Math.ceil(Math.max(range.start, range.end)));
    const shown = last - first <= 60 ? texts.slice(first, last) : [];
    axis.ticker.ticks = shown.map((_, k) => first + k + 0.5);
    axis.major_label_overrides = new Map(shown.map((text, k) => [first + k + 0.5, brief(text)]));
  }
}

function limits(values, logarithms) {
  const finite = values.filter((value) => Number.isFinite(value) && !(logarithms && value <= 0));
  let low = Infinity, high = -Infinity;
  for (const value of finite) { low = Math.min(low, value); high = Math.max(high, value); }
  if (!finite.length) return [0, 1];
  if (logarithms) return [low / 1.2, high * 1.2];
  const room = 0.05 * (high - low) || Math.abs(high) * 0.1 || 0.5;
  return [low - room, high + room];
}
function putPoints(chart, figure, made) {
  const across = limits([...made.points.x, ...made.ends.x0, ...made.ends.x1, ...made.lines.xs.flat(), ...(made.marks || [])], chart.view.log);
  let up = limits([...made.points.y, ...made.ends.y0, ...made.ends.y1, ...made.bands.ys.flat(), ...made.lines.ys.flat()], false);
  if (made.rows) {
    const step = made.rows.length > 40 ? 14 : ROW;
    up = [made.rows.length, 0];
    figure.height = 110 + Math.max(2, made.rows.length) * Math.max(step, 11 * (chart.view.values?.length || 1));
    const axis = figure.left[0];
    axis.ticker.ticks = made.rows.map((_, k) => k + 0.5);
    axis.major_label_overrides = new Map(made.rows.map((text, k) => [k + 0.5, brief(text, innerWidth > 600 ? 36 : 18)]));
    const marks = [...new Set([...(made.marks || []), ...(across[0] < 0 && across[1] > 0 ? [0] : [])])];
    made.guides = { xs: marks.map((at) => [at, at]), ys: marks.map(() => [0, made.rows.length]) };
    if (made.falls) across.reverse();
  } else if (made.diagonal) {
    const ends = [Math.max(across[0], up[0]), Math.min(across[1], up[1])];
    if (ends[0] < ends[1]) made.guides = { xs: [ends], ys: [ends] };
  } else if (!made.same && !chart.view.log) {
    if (across[0] < 0 && across[1] > 0) { made.guides.xs.push([0, 0]); made.guides.ys.push([...up]); }
    if (up[0] < 0 && up[1] > 0) { made.guides.xs.push([...across]); made.guides.ys.push([0, 0]); }
  }
  chart.find("chart-names").data = { x: [], y: [], name: [], dx: [], dy: [] };
  const sources = { bands: made.bands, guides: made.guides, lines: made.lines, ends: made.ends, points: made.points };
  select(chart, []);
  for (const [key, value] of Object.entries(sources)) chart.find(`chart-${key}`).data = value;
  figure.below[0].axis_label = made.x ? brief(made.x, 60) : "";
  figure.left[0].axis_label = made.y && !made.rows ? brief(made.y, 60) : "";
  figure.below[0].visible = figure.left[0].visible = !made.same;
  figure.x_range.setv({ start: across[0], end: across[1], reset_start: across[0], reset_end: across[1] });
  figure.y_range.setv({ start: up[0], end: up[1], reset_start: up[0], reset_end: up[1] });
}
function nameDots(chart) {
  if (!chart.made || chart.made.cells) return;
  const { points, labels } = chart.made;
  chart.find("chart-names").data = spread(chart.find("chart"), points.x, points.y, labels, chart.made.ends.x0.length > 0);
}

/* --- what readers do */
const of = (model) => all.find((chart) => chart.document === model.document);
function pointed(event) {
  const chart = of(event.renderer), [first] = event.index.indices;
  if (first === undefined || !chart?.made) { page.leave(); return; }
  const tip = chart.made.tips[first];
  page.tell(typeof tip === "function" ? tip() : tip, chart.plot, event.geometry.sx, event.geometry.sy);
}
/* Bokeh tells of a selection later, and of ours too: what was set here is no choice of the reader. */
function select(chart, indices) {
  chart.selected = JSON.stringify(indices);
  chart.find("chart-points").selected.indices = indices;
}
function chosen(selected) {
  const chart = of(selected), indices = JSON.stringify(selected.indices);
  if (!chart?.made || indices === chart.selected) return;
  chart.selected = indices;
  const models = new Set(selected.indices.flatMap((k) => chart.made.models[k]));
  page.mark([...models], true, chart);
  if (selected.indices.length === 1 && models.size === 1) page.openModel([...models][0]);
  if (selected.indices.length === 1 && models.size === 2) page.openPair(...models);
}
function cellAt(event) {
  const chart = of(event.origin), [i, j] = [Math.floor(event.y), Math.floor(event.x)];
  return chart?.made?.cells?.[i]?.[j] === undefined ? [] : [chart, i, j];
}
function moved(event) {
  const [chart, i, j] = cellAt(event);
  if (!chart) { page.leave(); return; }
  const { made, view } = chart, value = made.cells[i][j];
  page.tell(made.models ? page.lines(made.models[i], made.models[j], view.measure) : [`${made.names[i]} · ${made.columns[j]}`, `${made.title}: ${show(value, made.share)}`], chart.plot, event.sx, event.sy);
}
function tapped(event) {
  const [chart, i, j] = cellAt(event);
  if (!chart?.made.models) return;
  const models = [chart.made.models[i], chart.made.models[j]];
  page.mark([...new Set(models)]);
  if (i === j) page.openModel(models[0]); else page.openPair(...models);
}
function marked(models, but = null) {
  const fits = (mine) => mine.length > 0 && (models.size === 1 ? mine.some((model) => models.has(model)) : mine.every((model) => models.has(model)));
  for (const chart of all) {
    if (chart === but || !chart.made) continue;
    if (chart.made.cells) markCells(chart, models);
    else select(chart, models.size ? chart.made.models.flatMap((mine, k) => (fits(mine) ? [k] : [])) : []);
  }
}
function markCells(chart, models) {
  const boxes = { left: [], right: [], top: [], bottom: [] }, { made } = chart, size = made.names.length;
  const add = (left, right, top, bottom) => { boxes.left.push(left); boxes.right.push(right); boxes.top.push(top); boxes.bottom.push(bottom); };
  if (made.models && models.size < names.length) made.models.forEach((model, k) => { if (models.has(model)) { add(0, size, k, k + 1); add(k, k + 1, 0, size); } });
  chart.find("chart-marks").data = boxes;
}

/* --- controls */
function chooser(label, entries, value, change) {
  const select = el("select", {}, ...entries.map(([key, text]) => el("option", { value: key }, text)));
  select.value = value;
  select.addEventListener("change", () => change(select.value));
  return el("label", {}, `${label} `, select);
}
function look(chart, number) {
  const view = (chart.view = chart.views[number]), controls = [];
  chart.by = new Map();
  const again = () => draw(chart);
  if (chart.views.length > 1) controls.push(chooser("Show", chart.views.map((one, k) => [k, one.title || "values"]), number, (k) => look(chart, +k)));
  for (const key of view.by || []) {
    const values = [...new Set(columnOf(view, key).map(String))];
    chart.by.set(key, values[0]);
    if (values.length > 1) controls.push(chooser(key === "of" ? "Similarity" : key.replaceAll("_", " "), values.map((value) => [value, word(value)]), values[0], (value) => { chart.by.set(key, value); again(); }));
  }
  if (view.kind === "points") {
    chart.colour = view.colour && (columnOf(view, view.colour) || columns.has(view.colour)) ? view.colour : "";
    const own = view.colour && columnOf(view, view.colour) ? [[view.colour, view.colour.replaceAll("_", " ")]] : [];
    const shared = view.name.length === 1 && view.name[0] !== "members" ? data.columns.map((column) => [column.key, column.title]) : [];
    controls.push(chooser("Colour by", [["", "nothing"], ...own, ...shared.filter(([key]) => key !== own[0]?.[0])], chart.colour, (key) => { chart.colour = key; again(); }));
  }
  if (view.kind === "pairs") {
    [chart.x, chart.y] = [view.x, view.y];
    const shown = [...measures.values()].filter((one) => one.shown).map((one) => [one.key, one.title]);
    for (const [axis, text] of [["x", "Across"], ["y", "Up"]]) controls.push(chooser(text, shown, chart[axis], (key) => { chart[axis] = key; again(); }));
  }
  chart.controls.replaceChildren(...controls);
  return draw(chart);
}
function open(host) {
  if (host.childNodes.length) return;
  const chart = { name: host.dataset.title, views: data.charts[host.dataset.chart], controls: el("div", { class: "controls" }), plot: el("div", { class: "plot", role: "img" }), legend: el("div", { class: "legend" }), note: el("p", { class: "hint" }), host };
  host.append(chart.controls, chart.plot, chart.legend, chart.note);
  all.push(chart);
  look(chart, 0);
}
function follow(table, order) {
  followed.set(table, order);
  for (const chart of all) if (chart.view.table === table && chart.made) draw(chart);
}
const chartOf = (name) => all.find((chart) => chart.host.dataset.chart === name);
return { open, follow, marked, pointed, chosen, moved, tapped, of: chartOf };
};
