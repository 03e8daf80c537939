// One chart: asks for its lines in the range that is shown, draws them, says what is under the cursor.
"use strict";

const REACH = 8; // pixels: nobody clicks at the very column of a spike

class Chart {
  // board: has runs, range, smooth, log; is told of a range that was drawn, and of a point that was chosen.
  constructor(board, series) {
    this.board = board;
    this.name = series.name;
    this.lines = [];
    this.plot = null;
    this.isStale = true;
    this.isSeen = false;
    this.figure = this.#make();
    this.say(series);
    new ResizeObserver(() => this.#fit()).observe(this.box);
  }

  #make() {
    const figure = document.createElement("figure");
    figure.className = "chart";
    figure.dataset.series = this.name;
    const caption = document.createElement("figcaption");
    const name = document.createElement("strong");
    name.textContent = this.name;
    this.value = document.createElement("span");
    this.value.className = "value";
    const enlarge = document.createElement("button");
    Object.assign(enlarge, { type: "button", className: "enlarge", textContent: "⤢", title: "Enlarge" });
    enlarge.setAttribute("aria-label", `Enlarge ${this.name}`);
    enlarge.setAttribute("aria-pressed", "false");
    enlarge.addEventListener("click", () => {
      enlarge.setAttribute("aria-pressed", String(figure.classList.toggle("large")));
      this.load();
    });
    const right = document.createElement("span");
    right.append(this.value, enlarge);
    caption.append(name, right);
    this.box = document.createElement("div");
    this.box.className = "plot";
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "img");
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.tip = document.createElement("p");
    this.tip.className = "tip";
    this.tip.setAttribute("role", "status");
    this.legend = document.createElement("ul");
    this.legend.className = "legend";
    figure.append(caption, this.box, this.tip, this.legend);
    return figure;
  }

  // What is known without its points, for who sees it and for who hears of it.
  say(series) {
    const { number } = chartData;
    const isOne = this.board.runs.length === 1; // of several, none has the last value
    this.value.textContent = isOne ? number(series.last) : "";
    this.box.setAttribute(
      "aria-label",
      `Chart of ${this.name}: ${series.count.toLocaleString("en")} points, steps ${series.first_step} to ${series.last_step}; ` +
        `${isOne ? `last ${number(series.last)}, ` : ""}least ${number(series.min)}, greatest ${number(series.max)}. Arrow keys read its points, Enter shows a point's batch.`,
    );
    if (this.count !== series.count) this.isStale = true;
    this.count = series.count;
  }

  // Ask again, if it can be seen; otherwise when it can.
  async load() {
    this.isStale = true;
    if (!this.isSeen) return;
    this.isStale = false;
    const asked = (this.asked = {});
    const width = Math.max(100, Math.round(this.box.clientWidth));
    let lines;
    try {
      lines = (await Promise.all(this.board.runs.map((run) => this.#ask(run, this.board.range, width)))).flat();
    } catch {
      this.isStale = true; // the server is away; the next event asks again
      return;
    }
    if (asked !== this.asked) return;
    this.lines = lines;
    this.draw();
  }

  async #ask(run, range, width) {
    const query = new URLSearchParams({ series: this.name, width });
    if (range) query.append("from", range[0]), query.append("to", range[1]);
    const answer = await fetch(`${run.chart}?${query}`);
    if (!answer.ok) throw new Error(answer.status);
    return (await answer.json()).lines.map((line) => ({ ...line, run: run.name, from: run }));
  }

  draw() {
    if (!this.lines.length && !this.plot) return;
    const data = chartData.tables(this.lines, this.board);
    const kind = [chartData.colours(this.lines), chartData.named(this.lines), this.board.log, this.board.smooth > 0, matchMedia("(prefers-color-scheme: dark)").matches].join();
    if (this.plot && kind === this.kind) return this.plot.setData(data);
    this.kind = kind;
    this.plot?.destroy();
    this.plot = new uPlot(this.#options(), data, this.box);
    this.legend.replaceChildren();
    if (this.lines.length < 2) return;
    const colours = chartData.colours(this.lines);
    this.legend.append(...chartData.named(this.lines).map((name, place) => {
      const item = document.createElement("li");
      item.className = `k${colours[place]}`;
      item.textContent = name;
      return item;
    }));
  }

  #options() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    const lines = chartData.colours(this.lines).map((number) => colour(`--c${number}`));
    const edge = (stroke) => ({ stroke: `${stroke}66`, width: 1, points: { show: false } });
    return {
      ...this.#size(),
      legend: { show: false },
      scales: {
        x: { time: false, range: (_, min, max) => this.board.range || (min === max ? [min - 1, max + 1] : [min, max]) },
        y: { distr: this.board.log ? 3 : 1 },
      },
      axes: [
        { ...axis, size: 28, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? this.#short(tick) : "")) },
        { ...axis, size: (_, marks) => Math.max(58, 20 + 7 * Math.max(0, ...(marks ?? []).map((mark) => mark.length))), values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : chartData.mark(tick))) },
      ],
      series: [{}, ...lines.flatMap((stroke) => [{ stroke, width: 1.75, points: { show: this.#isSparse() } }, edge(stroke), edge(stroke)])],
      bands: lines.map((stroke, place) => ({ series: [3 * place + 3, 3 * place + 2], fill: `${stroke}33` })),
      cursor: { drag: { x: true, y: false, setScale: false }, y: false },
      hooks: {
        setCursor: [() => this.#tell()],
        setSelect: [(plot) => this.#selected(plot)],
        ready: [(plot) => {
          plot.over.addEventListener("mousedown", () => (this.wasDragged = false));
          plot.over.addEventListener("click", (event) => this.#clicked(event));
        }],
      },
    };
  }

  #isSparse() {
    return this.lines.every((line) => line.steps.length < 40);
  }

  #short(step) {
    if (step >= 1e6) return `${Number((step / 1e6).toPrecision(4))}M`;
    return step >= 1e4 ? `${Number((step / 1e3).toPrecision(4))}k` : String(step);
  }

  #size() {
    return { width: this.box.clientWidth, height: this.box.clientHeight };
  }

  #fit() {
    if (this.plot && this.box.clientWidth) this.plot.setSize(this.#size());
  }

  #tell() {
    const place = this.plot?.cursor.idx;
    if (place === null || place === undefined) return void (this.tip.textContent = "");
    const names = chartData.named(this.lines);
    const rows = this.lines.flatMap((line, index) => {
      const at = line.steps.indexOf(this.plot.data[0][place]);
      if (at < 0) return [];
      const { number } = chartData;
      const spread = line.min[at] !== line.max[at] ? ` (${number(line.min[at])} to ${number(line.max[at])})` : "";
      const mean = this.board.smooth ? `, smoothed ${number(this.plot.data[3 * index + 1][place])}` : "";
      return [`${names.length > 1 ? `${names[index]}: ` : ""}${number(line.last[at])}${spread}${mean}`];
    });
    this.tip.textContent = `step ${this.plot.data[0][place]}\n${rows.join("\n")}`;
  }

  #selected(plot) {
    const { left, width } = plot.select;
    this.wasDragged = width > 4;
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    if (!this.wasDragged) return;
    const [first, last] = [left, left + width].map((place) => plot.posToVal(place, "x"));
    this.board.setRange([Math.max(0, Math.floor(first)), Math.max(0, Math.ceil(last))]);
  }

  #clicked(event) {
    if (this.wasDragged) return void (this.wasDragged = false);
    this.#choose(event.offsetX, event.offsetY, REACH);
  }

  // The line and the value that are nearest to a place in the chart, and then the very step that had it.
  async #choose(left, top, reach) {
    let nearest = null;
    for (const line of this.lines) {
      line.steps.forEach((step, at) => {
        const aside = Math.abs(this.plot.valToPos(step, "x") - left);
        if (aside > reach) return;
        for (const kind of ["last", "max", "min"].filter((one) => line[one][at] !== null)) {
          const away = Math.hypot(aside, this.plot.valToPos(line[kind][at], "y") - top);
          if (!nearest || away < nearest.away) nearest = { line, at, kind, away };
        }
      });
    }
    if (nearest) this.board.choose(this.name, nearest.line, await this.#exactStep(nearest));
  }

  async #exactStep({ line, at, kind }) {
    const sought = line[kind][at];
    let [first, last] = [at ? line.steps[at - 1] + 1 : 0, line.steps[at]];
    for (let round = 0; round < 8 && first < last && kind !== "last"; round++) {
      const lines = await this.#ask(line.from, [first, last], 2000);
      const finer = lines.find((one) => one.attempt === line.attempt && one.writer === line.writer);
      const place = finer ? finer[kind].indexOf(sought) : -1;
      if (place < 0) break;
      const span = [place ? finer.steps[place - 1] + 1 : first, finer.steps[place]];
      if (finer.min[place] === finer.max[place] || (span[0] === first && span[1] === last)) return span[1];
      [first, last] = span;
    }
    return last;
  }

  #key(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -Infinity, End: Infinity };
    if (!this.plot || !this.plot.data[0].length) return;
    const steps = this.plot.data[0];
    const now = this.plot.cursor.idx ?? -1;
    if (event.key in moves) {
      const place = Math.min(Math.max(now + moves[event.key], 0), steps.length - 1);
      this.plot.setCursor({ left: this.plot.valToPos(steps[place], "x"), top: 10 });
    } else if (event.key === "Enter" && now >= 0) {
      this.#choose(this.plot.valToPos(steps[now], "x"), this.plot.valToPos(this.plot.data[1][now] ?? 0, "y"), 0.01);
    } else if (event.key === "+" && now >= 0) {
      const half = Math.max(1, Math.round((steps[steps.length - 1] - steps[0]) / 4));
      this.board.setRange([Math.max(0, steps[now] - half), steps[now] + half]);
    } else if (event.key === "-") this.board.setRange(null);
    else return;
    event.preventDefault();
  }
}
