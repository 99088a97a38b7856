"use strict";
// Draws the cells of a page: lanes on one axis, zoomed by wheel, pinch and keys. Times are tenths
// of a millisecond since each cell's zero. Marks too close to be told apart are drawn as one.
(async () => {
  const svg = document.getElementById("chart"), detail = document.getElementById("detail");
  const NS = "http://www.w3.org/2000/svg", ROW = 17, HEAD = 24, AXIS = 22, EDGE = 12;
  let data;
  try {
    const bytes = Uint8Array.from(atob(document.getElementById("data").textContent.trim()), c => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    data = JSON.parse(await new Response(stream).text());
  } catch (error) {
    detail.textContent = "The timeline could not be unpacked by this browser (" + error + "); the trace-event JSON opens in ui.perfetto.dev.";
    return;
  }
  const cells = data.cells;
  for (const cell of cells) for (const lane of cell.lanes) {
    let at = 0, seq = 0, n = 0;
    lane.marks = lane.b.map((step, i) => {
      at += step; seq += lane.q[i]; n += lane.n[i];
      const t = lane.texts, whose = t[lane.o[i]], file = t[lane.f[i]];
      const token = whose && `${whose}.${String(seq).padStart(6, "0")}`;
      const title = (whose ? `${whose.split(".")[2]} ${seq}: ` : "") + t[lane.t[i]];
      return {b: at, e: lane.w[i] < 0 ? at : at + lane.w[i], tick: lane.w[i] < 0, k: kind(t[lane.k[i]]), title, token, file, n, framed: file.endsWith(".pcap"), lane, cell};
    });
  }
  function kind(name) {
    const last = name.split(" ").pop();
    if (last.startsWith("dialed-")) return last === "dialed-ok" ? last : "dialed";
    return name === "packet reset" ? "rst" : last;
  }
  const all = [Math.min(...cells.map(c => c.span[0])), Math.max(...cells.map(c => c.span[1]))];
  const air = Math.max(2000, (all[1] - all[0]) * 0.03);
  const whole = [all[0] - air, all[1] + air];
  let view = whole.slice(), chosen = "", joined = "", verdict = -1, queued = false;
  const gutter = () => svg.clientWidth < 600 ? 84 : 136;
  const wide = () => Math.max(svg.clientWidth - gutter() - 8, 50);
  const x = t => gutter() + (t - view[0]) / (view[1] - view[0]) * wide();
  const time = px => view[0] + (px - gutter()) / wide() * (view[1] - view[0]);
  const said = t => (t / 10000).toFixed(Math.abs(view[1] - view[0]) < 20000 ? 4 : 3) + " s";
  const esc = text => String(text).replace(/[&<>"]/g, c => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}[c]));

  function draw() {
    queued = false;
    const parts = [], marks = [], right = svg.clientWidth - 8, left = gutter();
    let y = 0;
    const step = steps(view[1] - view[0]);
    const ticks = [];
    for (let t = Math.ceil(view[0] / step) * step; t <= view[1]; t += step) ticks.push(t);
    for (const cell of cells) {
      const top = y;
      const shown = cell.brackets.filter(b => chosen ? b[0] === chosen : b[1] !== "pass" && b[1] !== "measured").slice(0, 8);
      const height = HEAD + shown.length * ROW + cell.lanes.length * ROW;
      for (const [b, e, k, title] of cell.shades) {
        const x0 = Math.max(x(b), left), x1 = Math.min(x(e), right);
        if (x1 > x0) parts.push(`<rect class="${k}" x="${x0.toFixed(1)}" y="${top + HEAD}" width="${(x1 - x0).toFixed(1)}" height="${height - HEAD}"><title>${esc(title)}</title></rect>` + (x1 - x0 > 60 ? `<text class="axis" x="${(x0 + 3).toFixed(1)}" y="${top + HEAD - 3}">${esc(title)}</text>` : ""));
      }
      for (const t of ticks) parts.push(`<line class="grid" x1="${x(t).toFixed(1)}" x2="${x(t).toFixed(1)}" y1="${top + HEAD}" y2="${top + height}"/>`);
      parts.push(`<text class="head" x="4" y="${top + 11}">${esc(cell.pattern)}: ${esc(cell.id)}</text>`);
      y += HEAD;
      for (const [name, outcome, b, e, first, last] of shown) {
        const x0 = Math.max(x(b), left), x1 = Math.min(Math.max(x(e), x0 + 2), right), mid = y + 9;
        if (x(e) >= left && x(b) <= right) parts.push(`<g class="${outcome}"><path class="bracket" d="M${x0} ${mid + 6}V${mid}H${x1}V${mid + 6}"/><path class="bracket edge" d="M${x0} ${mid + 6}V${top + height}M${x1} ${mid + 6}V${top + height}"/><text class="span" x="${Math.min(x0 + 4, right - 160)}" y="${mid - 2}">${esc(name)}: ${said(e - b)}</text><title>${esc(first)} … ${esc(last)}</title></g>`);
        y += ROW;
      }
      for (const lane of cell.lanes) {
        if (cell.lanes.indexOf(lane) % 2) parts.push(`<rect class="row" x="0" y="${y}" width="${right}" height="${ROW}"/>`);
        parts.push(`<text class="lane" x="4" y="${y + 12}">${esc(short(lane.name))}<title>${esc(lane.name)}</title></text>`);
        for (const run of merged(lane.marks, left, right)) {
          const i = marks.push(run) - 1, m = run[0], last = run[run.length - 1];
          const x0 = Math.max(x(m.b), left), w = Math.max(Math.min(x(run.end), right) - x0, m.tick ? 3 : 2);
          const low = m.tick || lane.group === "containers" ? 0 : 3, tall = m.tick && lane.group === "containers";
          const title = run.length > 1 ? `${run.length} together: ${m.title} … ${last.title}` : `${m.title}; ${said(m.b)}${m.tick ? "" : " to " + said(m.e)}`;
          parts.push(`<rect class="m k-${m.k}${joined && run.some(one => one.token === joined) ? " joined" : ""}" data-i="${i}" x="${x0.toFixed(1)}" y="${y + 2 + (tall ? 0 : low)}" width="${w.toFixed(1)}" height="${ROW - 4 - 2 * (tall ? 0 : low)}"><title>${esc(title)}</title></rect>`);
        }
        y += ROW;
      }
      y += EDGE;
    }
    for (const t of ticks) parts.push(`<text class="axis" x="${x(t).toFixed(1)}" y="${y + 6}" text-anchor="middle">${said(t).replace(/\.?0+ s/, " s")}</text>`);
    svg.setAttribute("height", y + AXIS - 8);
    svg.innerHTML = parts.join("");
    svg.marks = marks;
    svg.dataset.view = view.map(Math.round).join(" ");
  }
  const short = name => svg.clientWidth < 600 && name.length > 13 ? name.slice(0, 12) + "…" : name.length > 22 ? name.slice(0, 21) + "…" : name;
  function steps(span) {
    const aim = span / Math.max(wide() / 90, 2);
    const base = 10 ** Math.floor(Math.log10(aim));
    return [1, 2, 5, 10].map(n => n * base).find(n => n >= aim);
  }
  function merged(marks, left, right) {
    // Runs of narrow marks of one kind; containers' ticks are few, and stay as they are.
    const runs = [], open = {};
    for (const m of marks) {
      if (x(m.e) < left || x(m.b) > right) continue;
      const narrow = x(m.e) - x(m.b) < 2, run = open[m.k];
      if (narrow && run && m.lane.group !== "containers" && x(m.b) - x(run.end) < 1.5) { run.push(m); run.end = Math.max(run.end, m.e); continue; }
      const fresh = [m];
      fresh.end = m.e;
      runs.push(fresh);
      if (narrow) open[m.k] = fresh;
    }
    return runs.sort((a, b) => a[0].tick - b[0].tick);
  }
  const redraw = () => { if (!queued) { queued = true; requestAnimationFrame(draw); } };
  function look(b, e) {
    const span = Math.min(Math.max(e - b, 5), (whole[1] - whole[0]) * 1.5);
    const mid = Math.min(Math.max((b + e) / 2, whole[0]), whole[1]);
    view = [mid - span / 2, mid + span / 2];
    redraw();
  }
  function zoom(factor, px) {
    const t = px === undefined ? (view[0] + view[1]) / 2 : time(px);
    look(t - (t - view[0]) * factor, t + (view[1] - t) * factor);
  }
  const move = share => { const by = (view[1] - view[0]) * share; look(view[0] + by, view[1] + by); };

  function command(text) { return `<div class="command"><code>${esc(text)}</code><button class="copy">copy</button></div>`; }
  function logs(cell, at) {
    const records = cell.records;
    if (!records.length) return "";
    let i = records.findIndex(r => r[0] >= at);
    if (i < 0) i = records.length - 1;
    const from = Math.max(0, Math.min(i - 10, records.length - 20));
    const rows = records.slice(from, from + 20).map((r, n) => `<span class="${from + n === i ? "now" : ""}">${esc(said(r[0]).padStart(11))}  ${esc(r[1])}  ${esc(r[2])}</span>`);
    return `<h3>Logs around ${said(at)}${cell.thinned ? ", thinned to fit this page" : ""}</h3><pre class="log">${rows.join("\n")}</pre>`;
  }
  function way(cell, token) {
    if (!token) return "";
    const rows = [];
    for (const lane of cell.lanes) for (const m of lane.marks) if (m.token === token) rows.push([m.b, `${said(m.b).padStart(11)}  ${lane.name.padEnd(18)}  ${m.title}  (${m.file}:${m.n})`]);
    rows.sort((a, b) => a[0] - b[0]);
    return `<h3>The request's way: ${esc(token)}</h3><pre>${esc(rows.map(r => r[1]).join("\n"))}</pre>`;
  }
  function frame(cell, key) {
    const found = cell.frames[key];
    if (!found) return "";
    return `<h3>Frame ${esc(key.split("#")[1])} of ${esc(key.split("#")[0])}</h3><pre class="frame">${esc(found.summary.join("\n"))}</pre><pre>${esc(found.hexdump)}</pre>${command(found.command)}`;
  }
  function show(run) {
    const m = run[0], key = m.framed ? run.map(one => one.file + "#" + one.n).find(k => m.cell.frames[k]) || m.file + "#" + m.n : "";
    joined = m.token;
    const where = m.file ? `<p class="dim">${esc(m.cell.bundle)}/${esc(m.file)}${m.framed ? ", frame " : ":"}${m.n}</p>` : "";
    const many = run.length > 1 ? ` <span class="dim">and ${run.length - 1} more; zoom in to tell them apart</span>` : "";
    const tshark = m.framed && !m.cell.frames[key] ? command(`tshark -r ${m.cell.bundle}/${m.file}* -Y frame.number==${m.n} -V`) : "";
    detail.innerHTML = `<h3>${esc(m.lane.name)}: ${esc(m.title)}${many}</h3><p>${said(m.b)}${m.tick ? "" : " to " + said(m.e)}</p>${where}${frame(m.cell, key)}${tshark}${way(m.cell, m.token)}${logs(m.cell, m.b)}`;
    redraw();
  }
  function choose(name) {
    const own = cells[0], found = own.brackets.find(b => b[0] === name);
    document.querySelectorAll("li.v").forEach(li => { li.classList.toggle("chosen", li.id === name); li.firstElementChild.open = li.id === name; });
    chosen = name;
    if (!found) { redraw(); return; }
    const span = Math.max(found[3] - found[2], 500);
    look(found[2] - span * 0.6, found[3] + span * 0.6);
    const first = document.getElementById(name).querySelector("button.ev");
    if (first) evidence(first);
  }
  function evidence(button) {
    const at = button.dataset.at ? Number(button.dataset.at) / 1e5 : null;
    const own = cells[0];
    detail.innerHTML = `<h3>${esc(button.textContent)} ${esc(button.nextSibling ? button.nextSibling.textContent.replace(/ · $/, "") : "")}</h3>` + (button.dataset.frame ? frame(own, button.dataset.frame) : "") + (at === null ? "" : logs(own, at));
    if (at !== null && (at < view[0] || at > view[1])) look(at - (view[1] - view[0]) / 2, at + (view[1] - view[0]) / 2);
  }
  function turn(by) {
    const ids = [...document.querySelectorAll("li.v")].map(li => li.id);
    verdict = (ids.indexOf(chosen) + by + ids.length) % ids.length;
    location.hash = ids[verdict];
  }
  svg.addEventListener("wheel", event => {
    event.preventDefault();
    if (event.shiftKey) move(Math.sign(event.deltaY || event.deltaX) * 0.1);
    else zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.006), event.offsetX);
  }, {passive: false});
  const fingers = new Map();
  let moved = 0;
  svg.addEventListener("pointerdown", event => { fingers.set(event.pointerId, event.clientX); moved = 0; });
  svg.addEventListener("pointermove", event => {
    if (!fingers.has(event.pointerId)) return;
    const before = [...fingers.values()], last = fingers.get(event.pointerId);
    fingers.set(event.pointerId, event.clientX);
    const now = [...fingers.values()];
    moved += Math.abs(event.clientX - last);
    if (moved > 4 && !svg.hasPointerCapture(event.pointerId)) svg.setPointerCapture(event.pointerId);
    if (now.length === 1) move(-(event.clientX - last) / wide());
    else {
      const apart = list => Math.max(Math.abs(list[0] - list[1]), 8);
      zoom(apart(before) / apart(now), (now[0] + now[1]) / 2 - svg.getBoundingClientRect().left);
    }
  });
  for (const name of ["pointerup", "pointercancel", "pointerleave"]) svg.addEventListener(name, event => fingers.delete(event.pointerId));
  svg.addEventListener("click", event => {
    const i = event.target.dataset && event.target.dataset.i;
    if (moved < 5 && i !== undefined) show(svg.marks[i]);
  });
  const keys = {"+": () => zoom(0.7), "=": () => zoom(0.7), "-": () => zoom(1.4), "0": () => look(...whole), ArrowLeft: () => move(-0.15), ArrowRight: () => move(0.15), n: () => turn(1), p: () => turn(-1), Enter: middle};
  function middle() {
    const mid = gutter() + wide() / 2;
    const near = [...svg.marks].sort((a, b) => Math.abs(x(a[0].b) - mid) - Math.abs(x(b[0].b) - mid))[0];
    if (near) show(near);
  }
  svg.addEventListener("keydown", event => {
    if (keys[event.key] && !event.ctrlKey && !event.metaKey) { event.preventDefault(); keys[event.key](); }
  });
  document.getElementById("in").onclick = keys["+"];
  document.getElementById("out").onclick = keys["-"];
  document.getElementById("fit").onclick = () => { chosen = ""; keys["0"](); };
  document.getElementById("next").onclick = keys.n;
  document.getElementById("prev").onclick = keys.p;
  document.addEventListener("click", event => {
    if (event.target.classList.contains("copy")) {
      const code = event.target.parentNode.querySelector("code");
      getSelection().selectAllChildren(code);
      if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(() => { event.target.textContent = "copied"; }, () => document.execCommand("copy"));
      else document.execCommand("copy");
    } else if (event.target.classList.contains("ev")) evidence(event.target);
  });
  window.addEventListener("resize", redraw);
  window.addEventListener("hashchange", () => choose(decodeURIComponent(location.hash.slice(1))));
  draw();
  if (location.hash) choose(decodeURIComponent(location.hash.slice(1)));
  svg.dataset.ready = "yes";
})();
