"use strict";
(() => {
  const all = JSON.parse(document.getElementById("data").textContent), budget = all.budget;
  const COLOURS = 7; // --c0 to --c6 of report.css, which has them for light and for dark
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "star"];
  const FIRST = 8; // settings that are drawn to begin with
  const sheet = getComputedStyle(document.documentElement), of = (name) => sheet.getPropertyValue(`--${name}`).trim(); // as the scheme is now
  const style = (s) => ({ colour: of(`c${s % COLOURS}`), number: s % COLOURS, dash: DASHES[s % DASHES.length], symbol: SYMBOLS[s % SYMBOLS.length] });
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"); // plotly reads tags in texts
  const folded = (name) => { // in lines, of which none is cut: the end of a name may be what tells two apart
    const most = narrow() ? 22 : 44, lines = [""];
    for (const part of name.split(/(?<=, )/)) {
      if (lines.at(-1) && (lines.at(-1) + part).trimEnd().length > most) lines.push("");
      lines[lines.length - 1] += part;
    }
    return lines.flatMap((line) => line.match(new RegExp(`.{1,${most}}`, "gs")) || [""]).map(plain).join("<br>");
  };
  const narrow = () => window.innerWidth < 700;
  function layout(more) {
    const touch = window.matchMedia("(pointer: coarse)").matches;
    return Object.assign({
      font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', Arial, sans-serif", size: 14, color: of("ink") },
      margin: { l: 64, r: 16, t: 36, b: 56 }, showlegend: false, hovermode: "closest", dragmode: touch ? false : "zoom",
      paper_bgcolor: of("page"), plot_bgcolor: of("page"),
      hoverlabel: { bgcolor: of("back"), bordercolor: of("edge"), font: { color: of("ink") } }, modebar: { bgcolor: "rgba(0,0,0,0)", color: of("faint"), activecolor: of("link") },
    }, more);
  }
  const axis = (title, more) => Object.assign({ title: { text: title, standoff: 12, font: { size: 14 } }, gridcolor: of("grid"), linecolor: of("edge"), zeroline: false,
    ticks: "outside", tickcolor: of("edge"), automargin: true, separatethousands: true, exponentformat: "power", minexponent: 5 }, more);
  const config = { responsive: true, displaylogo: false, plotlyServerURL: "",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]], // not the one that sends a chart to plotly's servers
    toImageButtonOptions: { format: "svg", filename: "ganlab" } };

  function swatch({ number, dash, symbol }) {
    const colour = `var(--c${number})`;
    const dashes = { solid: "", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3", longdash: "11 4" };
    const shapes = { circle: '<circle cx="17" cy="7" r="4"/>', square: '<rect x="13" y="3" width="8" height="8"/>', diamond: '<path d="M17 2l5 5-5 5-5-5z"/>',
      "triangle-up": '<path d="M17 2l5 9h-10z"/>', x: '<path d="M13 3l8 8M21 3l-8 8" stroke-width="3"/>',
      star: '<path d="M17 1l1.8 4 4.2.4-3.2 2.8 1 4.2-3.8-2.2-3.8 2.2 1-4.2L11 5.400l4.200-.4z"/>' };
    const box = document.createElement("span");
    box.innerHTML = `<svg width="34" height="14" aria-hidden="true"><path d="M0 7H34" style="stroke: ${colour}" stroke-width="2.5" stroke-dasharray="${dashes[dash]}"/><g style="fill: ${colour}; stroke: ${colour}">${shapes[symbol]}</g></svg>`;
    return box.firstChild;
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    const value = (row, i) => { const cell = row.cells[i], v = cell.dataset.value ?? cell.textContent.replace(/,/g, ""); return v.trim(); };
    heads.forEach((head, i) => {
      const button = document.createElement("span"); // a button element is left blank where print repeats the head of a table
      button.setAttribute("role", "button");
      button.tabIndex = 0;
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); head.click(); } });
      head.addEventListener("click", () => { // anywhere in the cell
        const down = head.getAttribute("aria-sort") === "ascending", sign = down ? -1 : 1;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const number = head.classList.contains("n");
        const compare = (a, b) => {
          const [x, y] = [value(a, i), value(b, i)];
          if (!number) return sign * x.localeCompare(y, undefined, { numeric: true });
          const [u, v] = [parseFloat(x), parseFloat(y)]; // what is missing comes last, both ways
          return Number.isNaN(u) || Number.isNaN(v) ? Number.isNaN(u) - Number.isNaN(v) : sign * (u - v);
        };
        body.append(...[...body.rows].sort(compare));
      });
    });
  }

  function section(data, suffix) {
    const $ = (id) => document.getElementById(id + suffix);
    const shown = new Set(firstShown());
    const tables = ["scores-table", "tests-table"].map($).filter((table) => table);
    const filters = tables.map((table) => table.closest("section").querySelector("select.filter"));

    function firstShown() { // the reference and the best of the main score
      const all = data.settings.map((_, s) => s);
      const score = data.scores.find((s) => s.key === data.main) || data.scores[0];
      if (all.length <= FIRST) return all;
      const sign = score && score.better.startsWith("lower") ? 1 : -1;
      const ranked = score ? [...score.dots].sort((a, b) => sign * (a.mean[0] - b.mean[0])).map((dot) => dot.s) : all;
      return [...new Set([data.reference, ...ranked])].slice(0, FIRST);
    }

    function xOf(curve) {
      const grid = data.grids[curve.grid], setting = data.settings[curve.s], by = $("axis").value;
      if (by === "seconds") return grid.seconds;
      return by === "iterations" ? grid.x : grid.x.map((x) => x * setting[by]);
    }

    function drawCurves() {
      const column = data.columns.find((c) => c.key === $("column").value), log = $("log").checked, traces = [];
      if (!column) { $("curves").textContent = "No run has curves."; return; }
      const visible = column.curves.filter((curve) => shown.has(curve.s));
      const positive = visible.flatMap((c) => c.mean).filter((v) => v > 0);
      const floor = Math.min(...positive) / 3;
      const fit = (v) => (log && !(v > 0) ? (v === null ? null : floor) : v);
      for (const curve of visible) {
        const { colour } = style(curve.s);
        if (!curve.low) continue;
        const kept = curve.low.map((_, i) => i).filter((i) => curve.low[i] !== null && curve.high[i] !== null), x = xOf(curve);
        const back = [...kept].reverse();
        traces.push({ x: [...kept, ...back].map((i) => x[i]), y: [...kept.map((i) => fit(curve.low[i])), ...back.map((i) => fit(curve.high[i]))],
          fill: "toself", fillcolor: colour + "26", line: { width: 0 }, mode: "lines", hoverinfo: "skip", type: "scatter" });
      }
      for (const curve of visible) for (const seed of curve.seeds || []) // too few for a band
        traces.push({ x: xOf(curve), y: seed.map(fit), mode: "lines", line: { color: style(curve.s).colour, width: 1 }, opacity: 0.45, hoverinfo: "skip", type: "scatter" });
      for (const curve of visible) {
        const { colour, dash, symbol } = style(curve.s), name = plain(data.settings[curve.s].name);
        traces.push({ x: xOf(curve), y: curve.mean, name, type: "scatter", mode: "lines+markers", line: { color: colour, dash, width: 2 },
          marker: { symbol, size: 8, color: colour, maxdisplayed: 8 },
          customdata: curve.mean.map((_, i) => (curve.low && curve.low[i] !== null ? `[${curve.low[i]}, ${curve.high[i]}], ` : "") + `n = ${curve.n}`),
          hovertemplate: "%{y:.4g} %{customdata}<br>at %{x:,.5~g}<extra>%{fullData.name}</extra>" });
      }
      const title = $("axis").selectedOptions[0].textContent;
      const at = budget && budget.axis === $("axis").value ? [{ type: "line", x0: budget.n, x1: budget.n, yref: "paper", y0: 0, y1: 1, line: { color: of("faint"), width: 1.5, dash: "dot" } }] : [];
      Plotly.react($("curves"), traces, layout({ height: narrow() ? 340 : 440, shapes: at, title: { text: plain(column.title), font: { size: 15 }, x: 0.02, xanchor: "left" },
        xaxis: axis(title, { rangemode: "tozero", exponentformat: "none" }), yaxis: axis("", { type: log ? "log" : "linear" }) }), config);
    }

    function drawDots() {
      const score = data.scores.find((s) => s.key === ($("score") || {}).value);
      if (!score) return;
      $("better").textContent = score.better ? score.better[0].toUpperCase() + score.better.slice(1) + "." : "";
      const dots = score.dots.filter((dot) => shown.has(dot.s)), traces = [];
      dots.forEach((dot, row) => {
        const { colour, symbol } = style(dot.s), name = plain(data.settings[dot.s].name), [mean, low, high] = dot.mean, seeds = Object.entries(dot.seeds);
        traces.push({ x: seeds.map((s) => s[1]), y: seeds.map((_, i) => row + 0.12 + 0.06 * (i % 4)), text: seeds.map((s) => `seed ${s[0]}`), name, type: "scatter", mode: "markers",
          marker: { symbol: symbol + "-open", size: 8, color: colour }, hovertemplate: "%{x:.4g}, %{text}<extra>%{fullData.name}</extra>" });
        traces.push({ x: [mean], y: [row - 0.12], name, type: "scatter", mode: "markers", marker: { symbol, size: 11, color: colour },
          error_x: low === null ? undefined : { type: "data", symmetric: false, array: [high - mean], arrayminus: [mean - low], color: colour, thickness: 2, width: 5 },
          hovertemplate: `%{x:.4g}${low === null ? "" : ` [${low}, ${high}]`}<extra>%{fullData.name}</extra>` });
      });
      Plotly.react($("dots"), traces, layout({ height: 110 + 38 * dots.length, title: { text: plain(budget ? `${score.title} at ${budget.text}` : `last ${score.title}`), font: { size: 15 }, x: 0.02, xanchor: "left" },
        xaxis: axis(""), yaxis: axis("", { tickvals: dots.map((_, row) => row), ticktext: dots.map((dot) => folded(data.settings[dot.s].name)),
          range: [dots.length - 0.5, -0.5], ticks: "", showgrid: false }) }), config);
    }
    function drawProfile() { // how many runs of a setting are at least as good as x
      const score = data.scores.find((s) => s.key === ($("score") || {}).value);
      if (!score || !$("profile")) return;
      const lower = score.better.startsWith("lower"), sign = lower ? 1 : -1, kept = score.dots.filter((dot) => shown.has(dot.s));
      const every = kept.flatMap((dot) => Object.values(dot.seeds)), best = sign * Math.min(...every.map((v) => sign * v)), worst = sign * Math.max(...every.map((v) => sign * v));
      const traces = kept.map((dot) => {
        const { colour, dash } = style(dot.s), { name, runs } = data.settings[dot.s], values = Object.values(dot.seeds).sort((a, b) => sign * (a - b));
        const counts = [0, ...values.map((_, i) => i + 1), values.length];
        return { x: [best, ...values, worst], y: counts.map((n) => n / runs), name: plain(name), type: "scatter", mode: "lines", line: { color: colour, dash, width: 2, shape: "hv" },
          customdata: counts.map((n) => `${n} of ${runs} runs, [${data.shares[runs][n].join(", ")}]`), hovertemplate: "%{customdata}<br>at %{x:.4g} or better<extra>%{fullData.name}</extra>" };
      });
      $("profile").hidden = !score.better;
      Plotly.react($("profile"), traces, layout({ height: narrow() ? 280 : 340, title: { text: plain(`share of runs at least as good as a ${score.title}`), font: { size: 15 }, x: 0.02, xanchor: "left" },
        xaxis: axis(score.better, { autorange: lower ? true : "reversed" }), yaxis: axis("", { range: [-0.03, 1.03] }) }), config);
    }
    const draw = () => { drawCurves(); drawDots(); drawProfile(); };
    redraws.push(draw);

    function fillColumns() {
      for (const kind of ["scores", "theory", "health", "training"]) {
        const of = data.columns.filter((c) => c.kind === kind);
        if (!of.length) continue;
        const group = document.createElement("optgroup");
        group.label = kind;
        for (const column of of) group.append(new Option(column.title, column.key));
        $("column").append(group);
      }
    }

    function fillChips() {
      if (!$("chips")) return;
      data.settings.forEach((setting, s) => {
        const label = document.createElement("label"), box = document.createElement("input");
        Object.assign(box, { type: "checkbox", checked: shown.has(s) });
        box.addEventListener("change", () => { box.checked ? shown.add(s) : shown.delete(s); draw(); });
        label.append(box, swatch(style(s)), setting.name);
        $("chips").append(label);
      });
      const set = (on) => { data.settings.forEach((_, s) => (on ? shown.add(s) : shown.delete(s)));
        $("chips").querySelectorAll("input").forEach((box) => { box.checked = on; }); draw(); };
      $("all").addEventListener("click", () => set(true));
      $("none").addEventListener("click", () => set(false));
    }

    function narrowTo(score) { // rows of one score, in both tables
      for (const filter of filters) filter.value = score;
      for (const table of tables) for (const row of table.tBodies[0].rows) row.hidden = score !== "" && row.dataset.score !== score;
    }

    const follow = () => { const score = data.scores.find((s) => s.key === $("score").value);
      if (score && data.columns.some((c) => c.key === score.column)) $("column").value = score.column; };
    fillColumns();
    fillChips();
    if ($("score")) $("score").addEventListener("change", () => { follow(); draw(); if (filters.some((filter) => filter.value)) narrowTo($("score").value); });
    for (const filter of filters) filter.addEventListener("change", () => narrowTo(filter.value));
    for (const id of ["column", "axis", "log"]) $(id).addEventListener("change", drawCurves);
    if ($("score") && data.main) $("score").value = data.main;
    if ($("score")) follow();
    if (tables.some((table) => table.tBodies[0].rows.length > 16)) narrowTo($("score").value);
    draw();
    let wide = narrow();
    window.addEventListener("resize", () => { if (narrow() !== wide) { wide = narrow(); draw(); } });
  }

  const redraws = [], redraw = () => redraws.forEach((draw) => draw());
  document.querySelectorAll("table.sortable").forEach(sortable);
  all.sections.forEach((data, i) => section(data, i ? `-${i + 1}` : "")); // one for each data set
  const charts = () => [...document.querySelectorAll(".chart.js-plotly-plot")];
  const paper = (on) => { document.documentElement.classList.toggle("paper", on); redraw(); }; // paper is white
  window.addEventListener("beforeprint", () => {
    paper(true);
    charts().forEach((chart) => Plotly.relayout(chart, { width: 680 }));
  });
  window.addEventListener("afterprint", () => { paper(false); charts().forEach((chart) => Plotly.relayout(chart, { width: null, autosize: true })); });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.documentElement.dataset.drawn = String(Math.round(performance.now())); // milliseconds from the start of loading
})();
