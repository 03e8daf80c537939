// What pages cannot do without a script; each works by hand too.
"use strict";

// A secret after the # of the address goes into the form, and out of the address and the history.
const fromFragment = document.querySelector("[data-from-fragment]");
if (fromFragment && location.hash.length > 1) {
  fromFragment.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname + location.search);
  if (fromFragment.form.hasAttribute("data-send-at-once")) fromFragment.form.requestSubmit();
}

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

// A menu closes as people expect it to.
for (const menu of document.querySelectorAll("details.menu")) {
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
