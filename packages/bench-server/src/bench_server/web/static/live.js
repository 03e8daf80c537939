// A page that stays right while it is open: server-sent events say that something has changed.
"use strict";

const live = (() => {
  const shown = document.getElementById("live");
  const listeners = {};
  let source = null;
  let mark = shown ? shown.dataset.mark : "";
  let isOver = false;
  let refreshing = null;

  function say(text, kind) {
    shown.hidden = false;
    shown.className = `live small quiet ${kind}`;
    if (shown.textContent !== text) shown.textContent = text;
  }

  function open() {
    if (source || isOver || !shown || document.hidden) return;
    const address = new URL(shown.dataset.events, location.href);
    address.searchParams.set("mark", mark);
    source = new EventSource(address);
    source.onopen = () => say("Live", "");
    source.onerror = () => {
      say("Connecting again …", "away");
      if (source && source.readyState === EventSource.CLOSED) comeAgain();
    };
    for (const kind of ["run", "runs", "log", "series"]) {
      source.addEventListener(kind, (event) => {
        mark = event.lastEventId;
        for (const listener of listeners[kind] || []) listener(JSON.parse(event.data));
      });
    }
    source.addEventListener("gone", () => end("This is not here any more."));
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  function end(text) {
    isOver = true;
    close();
    say(text, "over");
  }

  // The browser gives up where an answer is no stream: then what the page itself says decides.
  async function comeAgain() {
    close();
    let answer = null;
    try {
      answer = await fetch(location.href, { method: "HEAD", redirect: "manual" });
    } catch {
      // the server is away
    }
    if (answer && !answer.ok && answer.status < 500) return end("You are signed out, or this is gone. Load the page again.");
    setTimeout(open, 1500);
  }

  // The page as it would be made now; its parts that may change take the place of those shown.
  async function refresh() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const made = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const now = made.getElementById(part.id);
      if (!now) part.replaceChildren();
      else if (text(now) !== text(part)) replace(part, now);
    }
    for (const now of made.querySelectorAll("[data-live]")) {
      if (!document.getElementById(now.id)) location.reload();
    }
    tick();
  }

  // What is the same but for what is made anew for each page.
  function text(part) {
    return part.innerHTML.replace(/name="(csrfmiddlewaretoken|request_id)" value="[^"]*"/g, "").replace(/(data-since="[^"]*">)[^<]*/g, "$1");
  }

  function replace(part, now) {
    const focus = part.contains(document.activeElement) ? document.activeElement : null;
    const checked = [...part.querySelectorAll("input:checked[value]")].map((input) => input.value);
    part.replaceChildren(...now.childNodes);
    for (const input of part.querySelectorAll("input[type=checkbox][value]")) {
      if (checked.includes(input.value)) input.checked = true;
    }
    if (!focus) return;
    const same = [...part.querySelectorAll(focus.tagName)].find((one) => one.textContent === focus.textContent);
    (same || document.getElementById("main")).focus();
  }

  function refreshSoon() {
    refreshing ||= setTimeout(async () => {
      refreshing = null;
      try {
        await refresh();
      } catch {
        refreshSoon(); // the server went away between its word and its page
      }
    }, 300);
  }

  function tick() {
    for (const part of document.querySelectorAll("[data-since]")) {
      const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(part.dataset.since)) / 1000));
      part.textContent = duration(seconds);
    }
  }

  function duration(seconds) {
    const minutes = Math.floor(seconds / 60), hours = Math.floor(seconds / 3600), days = Math.floor(seconds / 86400);
    const two = (number) => String(number).padStart(2, "0");
    if (days) return `${days} d ${hours % 24} h`;
    if (hours) return `${hours} h ${two(minutes % 60)} min`;
    return minutes ? `${minutes} min ${two(seconds % 60)} s` : `${seconds} s`;
  }

  function on(kind, listener) {
    (listeners[kind] ||= []).push(listener);
  }

  // What else a run logs is looked at anew now and then.
  let looked = Date.now();
  on("series", () => {
    if (!document.querySelector('[data-live="series"]') || Date.now() - looked < 8000) return;
    looked = Date.now();
    refreshSoon();
  });
  on("run", refreshSoon);
  on("runs", refreshSoon);
  tick();
  setInterval(tick, 1000);
  // Browsers open six streams to a server at most: a page that nobody sees gives its own back.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  document.addEventListener("DOMContentLoaded", open); // when all scripts of the page listen
  return { on };
})();
