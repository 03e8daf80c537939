// All charts of a page, by the first part of their names; what all of them share is in the address.
"use strict";

(() => {
  const place = document.getElementById("board");
  if (!place) return;
  const data = JSON.parse(document.getElementById("board-data").textContent);
  const form = place.querySelector("form");
  const sections = document.getElementById("sections");
  const dialog = document.getElementById("batch-dialog");
  const charts = new Map();
  const LAST = "system"; // measured by itself, and looked at last

  const board = { runs: data.runs.map((run, place) => ({ ...run, place })), range: null, smooth: 0, log: false, setRange, choose };

  const seeing = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const chart = charts.get(target.dataset.series);
      chart.isSeen = isIntersecting;
      if (isIntersecting && chart.isStale) chart.load();
    }
  }, { rootMargin: "200px" });

  function take(series) {
    for (const one of series) {
      const chart = charts.get(one.name);
      if (chart) {
        chart.say(one);
        if (chart.isStale) chart.load();
      } else add(one);
    }
    place.hidden = charts.size === 0;
    find();
  }

  function add(series) {
    const chart = new Chart(board, series);
    charts.set(series.name, chart);
    section(series.name.includes("/") ? series.name.split("/")[0] : "").append(chart.figure);
    seeing.observe(chart.figure);
  }

  function section(name) {
    const id = `section-${name}`;
    const there = document.getElementById(id);
    if (there) return there.querySelector(".charts");
    const made = document.createElement("details");
    made.id = id;
    made.className = "board-section";
    made.open = true;
    const title = document.createElement("summary");
    title.textContent = { "": "Metrics", [LAST]: "System" }[name] ?? name;
    const grid = document.createElement("div");
    grid.className = "charts";
    made.append(title, grid);
    const rank = (one) => [one === LAST, one];
    const later = [...sections.children].find((one) => {
      const [left, right] = [rank(one.id.slice("section-".length)), rank(name)];
      return left[0] !== right[0] ? left[0] : left[1] > right[1];
    });
    sections.insertBefore(made, later || null);
    return grid;
  }

  function find() {
    const text = form.elements.names.value.trim().toLowerCase();
    let shown = 0;
    for (const [name, chart] of charts) {
      chart.figure.hidden = !name.toLowerCase().includes(text);
      shown += !chart.figure.hidden;
    }
    for (const one of sections.children) one.hidden = !one.querySelector(".chart:not([hidden])");
    document.getElementById("board-says").textContent = text ? `${shown} of ${charts.size} charts` : "";
  }

  function setRange(range) {
    form.elements.from.value = range ? range[0] : "";
    form.elements.to.value = range ? range[1] : "";
    changed();
  }

  // The form has all that the charts share; the address has what of it is not as at first.
  function changed() {
    const before = String(board.range);
    const [first, last] = [form.elements.from.value, form.elements.to.value];
    board.range = first !== "" || last !== "" ? [Number(first), Number(last || Number.MAX_SAFE_INTEGER)] : null;
    if (board.range && board.range[1] < board.range[0]) board.range = null;
    if (board.range && last === "") board.range[1] = Math.max(board.range[0] + 1, ...data.series.map((series) => series.last_step));
    board.smooth = Number(form.elements.smooth.value);
    board.log = form.elements.log.checked;
    document.getElementById("smooth-value").textContent = board.smooth;
    const query = new URLSearchParams(location.search);
    for (const [name, value] of [["from", first], ["to", last], ["smooth", board.smooth || ""], ["log", board.log ? 1 : ""], ["names", form.elements.names.value.trim()]]) {
      if (value === "") query.delete(name);
      else query.set(name, value);
    }
    history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
    for (const chart of charts.values()) {
      if (String(board.range) !== before) chart.load();
      else chart.draw();
    }
    find();
  }

  async function choose(name, line, step) {
    const batch = line.from.batch;
    if (!batch) return;
    const query = new URLSearchParams({ attempt: line.attempt, rank: line.rank, step, series: name });
    const address = `${batch}?${query}`;
    const answer = await fetch(address);
    const made = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = document.importNode(made.getElementById("batch") || made.querySelector("main > section"), true);
    for (const link of part.querySelectorAll('a[href^="?"]')) link.href = batch + link.getAttribute("href");
    if (!answer.ok) part.querySelector(".button").remove(); // it says why there is none
    dialog.lastElementChild.replaceChildren(part);
    if (!dialog.open) dialog.showModal();
  }

  const query = new URLSearchParams(location.search);
  for (const name of ["from", "to", "smooth", "names"]) {
    if (query.has(name)) form.elements[name].value = query.get(name);
  }
  form.elements.log.checked = query.get("log") === "1";
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(changed));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.draw()));
  if (typeof live !== "undefined") {
    live.on("series", (news) => {
      data.series = news.series;
      take(news.series);
    });
  }
  const copy = place.querySelector("[data-copy-link]");
  copy.hidden = !navigator.clipboard;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(location.href);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy link"), 2000);
  });
  take(data.series);
  changed();
})();
