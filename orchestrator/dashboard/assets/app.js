// The pages work without this. With it they stay up to date, answer to keys, and do things without being loaded anew.

const page = document.body.dataset;

// ---- Drawing anew: a panel takes over what changed, and keeps what one is at: focus, what is typed, what is open.

function morph(here, there) {
  if (here.isEqualNode(there)) return;
  attributes(here, there);
  children(here, there);
}

const KEPT = { DETAILS: ["open"], DIALOG: ["open"], INPUT: ["value", "checked"], OPTION: ["selected"], TEXTAREA: [] };

function attributes(here, there) {
  const kept = KEPT[here.tagName] ?? [];
  const chosen = here.classList.contains("chosen");
  for (const { name } of [...here.attributes]) if (!there.hasAttribute(name) && !kept.includes(name)) here.removeAttribute(name);
  for (const { name, value } of there.attributes) {
    const own = kept.includes(name) && touched(here);
    if (!own && here.getAttribute(name) !== value) here.setAttribute(name, value);
  }
  if (chosen) here.classList.add("chosen");
}

function touched(field) {
  if (field.tagName === "OPTION") return touched(field.closest("select") ?? field.parentElement);
  // What is hidden in a form, such as the version of a task, belongs to what one has begun to write there.
  if (field.type === "hidden") return !warned.has(field.form) && [...field.form?.elements ?? []].some(changed);
  return field === document.activeElement || field.tagName === "DETAILS" || field.tagName === "DIALOG" || changed(field);
}

function changed(field) {
  if (field.tagName === "SELECT") return [...field.options].some((option) => option.selected !== option.defaultSelected);
  return ["INPUT", "TEXTAREA"].includes(field.tagName) && (field.value !== field.defaultValue || field.checked !== field.defaultChecked);
}

// Forms whose sender was told that somebody else was first: what they send next is meant for what there is now.
const warned = new WeakSet();

// What was sent is no longer being written: from now on the fields show what there is.
function settle(form) {
  warned.delete(form);
  for (const field of form.elements) {
    for (const option of field.options ?? []) option.defaultSelected = option.selected;
    if (field.type !== "hidden" && field.defaultValue !== undefined) [field.defaultValue, field.defaultChecked] = [field.value, field.checked];
  }
}

function children(here, there) {
  if (here.tagName === "TEXTAREA" && touched(here)) return;
  const keyed = new Map([...here.children].filter((child) => child.id).map((child) => [child.id, child]));
  const wanted = new Set([...there.children].map((child) => child.id).filter(Boolean));
  let at = here.firstChild;
  for (const next of [...there.childNodes]) {
    while (at?.id && !wanted.has(at.id)) at = removed(at);
    const known = next.id ? keyed.get(next.id) : null;
    if (known) {
      if (known === at) at = at.nextSibling;
      else here.insertBefore(known, at);
      morph(known, next);
    } else if (at && !at.id && !next.id && at.nodeType === next.nodeType && at.nodeName === next.nodeName) {
      if (at.nodeType === Node.ELEMENT_NODE) morph(at, next);
      else if (at.data !== next.data) at.data = next.data;
      at = at.nextSibling;
    } else {
      const added = document.importNode(next, true);
      if (added.dataset?.row !== undefined && keyed.size) added.classList.add("fresh");
      here.insertBefore(added, at);
    }
  }
  while (at) at = removed(at);
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

// ---- Panels: those that an event concerns are fetched together, soon at first, seldom while much happens.

const due = new Set();
let timer = 0;
let loading = false;
let pause = 0;
let refreshed = 0;

const OFTEN = ["task.progress", "task.output"];

function concerns(types, type) {
  const within = (one) => one.endsWith("*") && type.startsWith(one.slice(0, -1)) && !OFTEN.includes(type);
  return types.split(" ").some((one) => one === type || within(one));
}

function happened(type) {
  for (const panel of document.querySelectorAll(".panel[data-on]")) {
    if (!concerns(panel.dataset.on, type)) continue;
    const box = panel.querySelector("[data-follow]");
    if (box && !ended(box)) box.dataset.held = "";
    else due.add(panel.id);
  }
  if (due.size) soon();
}

// A box with `data-follow` stays at its end while it grows. Whoever scrolls up in it reads in peace, until they are back there.

function ended(box) {
  return box.scrollHeight - box.scrollTop - box.clientHeight < 48;
}

function toEnd(box) {
  if (box) box.scrollTop = box.scrollHeight;
}

document.addEventListener("scroll", ({ target }) => {
  if (target.dataset?.held === undefined || !ended(target)) return;
  due.add(target.closest(".panel[data-on]").id);
  soon();
}, true);

function soon() {
  if (timer || loading) return;
  if (performance.now() - refreshed > 2000) pause = 20;
  timer = setTimeout(refresh, pause);
  pause = Math.min(2000, Math.max(250, pause * 2));
}

export async function refresh() {
  timer = 0;
  loading = true;
  const ids = [...due];
  due.clear();
  try {
    await draw(location.href, ids);
  } catch {
    for (const id of ids) due.add(id);
    pause = 2000;
  }
  loading = false;
  refreshed = performance.now();
  if (due.size) soon();
}

async function draw(address, ids) {
  const url = new URL(address);
  url.hash = "";
  for (const id of ids) url.searchParams.append("panel", id.replace(/^panel-/, ""));
  const answer = await fetch(url, { headers: { accept: "text/html" } });
  if (answer.redirected) return location.reload();
  if (!answer.ok) throw new Error(answer.statusText);
  const found = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const panel of [...found.body.children]) {
    const here = document.getElementById(panel.id);
    const box = here?.querySelector("[data-follow]");
    if (!here || (box && !ended(box))) continue;
    morph(here, panel);
    toEnd(box);
  }
  tell();
}

function all() {
  for (const panel of document.querySelectorAll(".panel[data-on]")) due.add(panel.id);
  // Without the names of panels it would be the whole page that comes.
  if (due.size) soon();
}

// ---- The feed: from where the page was drawn, resumed after each break; nothing while nobody looks.

let stream = null;
let seen = page.mark;
let again = 0;

function listen() {
  if (stream || document.hidden || !page.stream) return;
  clearTimeout(again);
  stream = new EventSource(`${page.root}/api/v1/events?${page.stream}&after=${encodeURIComponent(seen)}`);
  stream.onopen = () => live("on");
  stream.onmessage = (message) => {
    seen = message.lastEventId || seen;
    happened(JSON.parse(message.data).type);
  };
  stream.addEventListener("reset", (message) => {
    seen = message.lastEventId || seen;
    all();
  });
  stream.onerror = () => {
    live("off");
    if (stream.readyState !== EventSource.CLOSED) return;
    stream = null;
    again = setTimeout(listen, 1000);
  };
}

function live(state) {
  const shown = document.getElementById("live");
  shown.dataset.state = state;
  shown.textContent = page[state];
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return listen();
  stream?.close();
  stream = null;
});
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => {
  if (event.persisted) all();
});

// ---- Times go on.

const UNITS = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];

function duration(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  for (const [place, [size, unit]] of UNITS.entries()) {
    if (left < size && size > 1) continue;
    const whole = Math.floor(left / size);
    if (size === 1 || (place === 0 && whole >= 10)) return `${whole}${unit}`;
    const [smaller, name] = UNITS[place + 1];
    const rest = Math.floor((left % size) / smaller);
    return rest ? `${whole}${unit} ${String(rest).padStart(2, "0")}${name}` : `${whole}${unit}`;
  }
}

function tell() {
  for (const time of document.querySelectorAll("time[data-since], time[data-ago]")) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    const form = time.dataset.since !== undefined ? "{}" : seconds >= 0 ? page.ago : page.ahead;
    const text = form.replace("{}", duration(Math.abs(seconds)));
    if (time.textContent !== text) time.textContent = text;
  }
}

// ---- Forms that do something: asked about first where that is wise, answered by a message.

export function say(text, bad = false) {
  if (!text) return;
  const message = document.createElement("p");
  message.className = bad ? "message bad" : "message";
  message.textContent = text;
  document.getElementById("messages").append(message);
  setTimeout(() => message.remove(), bad ? 12000 : 5000);
}

function sure(question) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-question").textContent = question;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

// What was refused is told at its field, too.
function mark(form, error) {
  for (const note of form.querySelectorAll(".wrong")) note.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  const field = error?.details?.field && form.elements.namedItem(error.details.field);
  if (!(field instanceof HTMLElement)) return;
  const note = Object.assign(document.createElement("span"), { className: "wrong", id: `wrong-${field.name}`, textContent: error.message });
  field.after(note);
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", note.id);
  for (let around = field.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
  field.focus();
}

async function act(form, button) {
  // At once: what is asked about is what is sent, whatever is drawn anew meanwhile; and what is disabled later is sent, too.
  const { action } = form;
  const body = new URLSearchParams(new FormData(form, button));
  const question = button?.dataset.ask ?? form.dataset.ask;
  const checked = form.querySelectorAll("input[type=checkbox]:checked:not([data-all])").length;
  if (question && !(await sure(question.replace("{n}", checked)))) return;
  if (button) button.disabled = true;
  try {
    const answer = await fetch(action, { method: "POST", headers: { accept: "application/json" }, body });
    const told = await answer.json();
    mark(form, answer.ok ? null : told.error);
    if (answer.status === 409) {
      warned.add(form);
      all();
    }
    if (!answer.ok) return say(told.error?.message ?? page.broken, true);
    say(told.said);
    if (told.to) return location.assign(told.to);
    if (form.dataset.act !== "clear") settle(form);
    form.reset();
    all();
  } catch {
    say(page.broken, true);
  } finally {
    if (button) button.disabled = false;
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.act === undefined || event.submitter?.dataset.plain !== undefined) return;
  event.preventDefault();
  act(form, event.submitter);
});

document.addEventListener("click", async (event) => {
  const copied = event.target.closest("[data-copy]");
  if (!copied) return;
  await navigator.clipboard.writeText(document.getElementById(copied.dataset.copy).textContent);
  say(page.copied);
});

document.addEventListener("change", (event) => {
  const field = event.target;
  if (field.dataset.all !== undefined) {
    for (const box of document.querySelectorAll(`input[type=checkbox][name="${field.dataset.all}"]`)) box.checked = field.checked;
  }
  if (field.dataset.redraw) {
    const address = new URL(location.href);
    address.searchParams.set(field.name, field.value);
    draw(address, [field.dataset.redraw]).catch(() => say(page.broken, true));
  }
  if (field.form?.dataset.filter !== undefined) field.form.requestSubmit();
});

// ---- Keys.

function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("chosen"));
  const next = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  rows[at]?.classList.remove("chosen");
  next.classList.add("chosen");
  (next.querySelector("[data-open]") ?? next.querySelector("a"))?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  "/": () => document.getElementById("search").focus(),
  "?": () => document.getElementById("help").showModal(),
  n: () => document.getElementById("new")?.click(),
  g: () => location.assign(`${page.root}/`),
  j: () => step(1),
  k: () => step(-1),
  x: () => document.querySelector(".chosen input[type=checkbox]")?.click(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") return document.activeElement?.blur();
  if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  const does = KEYS[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

// The menu is folded on narrow screens only.
const menu = document.getElementById("menu");
const narrow = matchMedia("(max-width: 48rem)");
const fold = () => (menu.open = !narrow.matches);
narrow.addEventListener("change", fold);
fold();

// Figures of the last hour are others after a minute, whether something happened or not.
setInterval(() => document.hidden || all(), 60000);
document.querySelectorAll("[data-follow]").forEach(toEnd);
setInterval(tell, 1000);
tell();
listen();
