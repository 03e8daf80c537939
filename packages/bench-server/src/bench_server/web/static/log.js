// The lines of a log: followed at its end, or any part of it.
"use strict";

(() => {
  const MOST = 4000; // lines in the page
  const box = document.querySelector("[data-log]");
  if (!box) return;
  const part = (name) => box.querySelector(`[data-log-${name}]`);
  const lines = document.getElementById("log");
  const follow = part("follow"), earlier = part("earlier"), later = part("later"), newest = part("newest");
  let isAtEnd = box.dataset.atEnd === "1";
  const place = (line) => Number(line.id.slice(3));

  function made([offset, text]) {
    const line = document.createElement("div");
    line.id = `at-${offset}`;
    line.textContent = text;
    return line;
  }

  // Lines from an offset on are written anew: the last one may have grown.
  function add(window) {
    while (lines.lastChild && place(lines.lastChild) >= window.start) lines.lastChild.remove();
    lines.append(...window.lines.map(made));
    while (lines.childElementCount > MOST) lines.firstChild.remove();
    if (lines.firstChild && place(lines.firstChild) > 0) earlier.hidden = false;
    part("empty").hidden = lines.childElementCount > 0;
    if (follow.checked) lines.scrollTop = lines.scrollHeight;
  }

  function put(window) {
    lines.replaceChildren(...window.lines.map(made));
    earlier.hidden = window.start === 0;
    ends(window.end >= window.size);
    lines.dataset.after = window.after;
    part("empty").hidden = lines.childElementCount > 0;
  }

  function ends(now) {
    isAtEnd = now;
    later.hidden = newest.hidden = now;
  }

  async function load(query) {
    const answer = await fetch(`${box.dataset.lines}&${query}`);
    return answer.ok ? answer.json() : null;
  }

  function moves(link, query, then) {
    link.addEventListener("click", async (event) => {
      event.preventDefault();
      const window = await load(query());
      if (window) then(window);
      lines.focus();
    });
  }

  moves(earlier, () => `before=${place(lines.firstChild)}`, (window) => {
    follow.checked = false;
    const height = lines.scrollHeight;
    lines.prepend(...window.lines.map(made));
    lines.scrollTop += lines.scrollHeight - height;
    earlier.hidden = window.start === 0;
    if (lines.childElementCount <= MOST) return;
    while (lines.childElementCount > MOST) lines.lastChild.remove();
    lines.dataset.after = place(lines.lastChild);
    ends(false);
  });
  moves(later, () => `after=${lines.dataset.after || new URL(later.href).searchParams.get("after")}`, (window) => {
    follow.checked = false;
    add(window);
    lines.dataset.after = window.after;
    ends(window.end >= window.size);
  });
  moves(newest, () => "", (window) => {
    put(window);
    follow.checked = true;
    lines.scrollTop = lines.scrollHeight;
  });

  live.on("log", (window) => {
    part("size").textContent = size(window.size);
    if (!isAtEnd) return;
    if (window.skips) put(window);
    else add(window);
    if (follow.checked) lines.scrollTop = lines.scrollHeight;
  });

  function size(bytes) {
    const units = ["B", "kB", "MB", "GB"];
    let unit = 0;
    for (; bytes >= 999.5 && unit < units.length - 1; unit++) bytes /= 1000;
    return `${Number(bytes.toPrecision(3))} ${units[unit]}`;
  }

  follow.hidden = part("follow-text").hidden = false;
  follow.addEventListener("change", () => {
    if (!follow.checked) return;
    if (isAtEnd) lines.scrollTop = lines.scrollHeight;
    else newest.click();
  });
  lines.addEventListener("scroll", () => {
    const isDown = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 8;
    if (isAtEnd) follow.checked = isDown;
  });

  const sought = new URLSearchParams(location.search).get("at");
  const line = sought && document.getElementById(`at-${sought}`);
  if (line) {
    line.classList.add("sought");
    lines.scrollTop = line.offsetTop - lines.offsetTop - lines.clientHeight / 3;
  } else if (follow.checked) lines.scrollTop = lines.scrollHeight;
})();
