// Shows the view that the address names, and keeps it up to date.

import { addWayBack, loginLink } from "./airflow.js";
import { follow, get } from "./api.js";
import { DeadLettersView } from "./dead_letters.js";
import { el, renewTimes, viewLink } from "./dom.js";
import { JobView } from "./job.js";
import { JobsView } from "./jobs.js";
import { LetterView } from "./letter.js";
import { showLogin } from "./login.js";
import { SummaryView } from "./summaries.js";
import { TaskView } from "./task.js";

const main = document.getElementById("main");
const search = document.getElementById("search");
const banner = document.getElementById("banner");
const SEARCH_MS = 250;

const VIEWS = { job: JobView, jobs: JobsView, letter: LetterView, "dead-letters": DeadLettersView, task: TaskView };
const TITLES = { queues: "Queues", jobs: "Jobs", workers: "Workers", "dead-letters": "Dead letters", job: "Job", letter: "Dead letter", task: "Jobs" };
/** The pages of one thing, each with the list that it belongs to. */
const LISTS = { job: "jobs", letter: "dead-letters" };

let view = null;
let stream = null;
let asking = null;
let typing = 0;

function route() {
  return new URLSearchParams(location.search);
}

function viewName(of) {
  for (const name of Object.keys(LISTS)) if (of.has(name)) return name;
  const name = of.get("view");
  return ["jobs", "workers", "dead-letters", "task"].includes(name) ? name : "queues";
}

/** Go to another view. With `replace`, the back button does not come here. */
function go(query, { replace = false } = {}) {
  const kept = Object.entries(query).filter(([, value]) => value);
  history[replace ? "replaceState" : "pushState"](null, "", `?${new URLSearchParams(kept)}`);
  show();
}

function show() {
  forgetTyping(); // a search that has not begun would lead away again
  leave();
  const now = route();
  const name = viewName(now);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === (LISTS[name] ?? name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = TITLES[name];
  if (document.activeElement !== search) search.value = now.get("q") ?? "";
  const context = { go, route: now, searchText, again: (of) => of === view && load(of) };
  view = name in VIEWS ? new VIEWS[name](main, context) : new SummaryView(name, main, context);
  load(view);
}

function leave() {
  asking?.abort();
  stream?.close();
  view?.close();
  stream = null;
}

async function load(of) {
  asking = new AbortController();
  let since;
  try {
    const answer = await of.load(get, asking.signal);
    if (of !== view) return;
    of.take(answer);
    if (of !== view) return;
    since = answer.status?.version;
    tell(answer.status);
  } catch (error) {
    if (of !== view || error.name === "AbortError") return;
    fail(error);
    if (error.status === 0 || error.status === 503) setTimeout(() => of === view && load(of), 5000);
    return;
  }
  stream?.close();
  if (!of.query) return; // its records are not in the stream
  stream = follow(of.query, since, {
    changes(answer) {
      if (of !== view) return;
      tell(answer.status);
      if (of.take(answer)) load(of);
    },
    lost: (text) => text && warn([text]),
    refused: fail,
  });
}

function fail(error) {
  if (error.needsToken) {
    leave();
    showLogin(main, show);
  } else if (error.status === 0) {
    warn([error.message]);
  } else {
    const list = LISTS[viewName(route())];
    const way = list ? [el("p", {}, viewLink({ view: list }, `See all ${TITLES[list].toLowerCase()}`))] : [];
    main.replaceChildren(el("p", { class: "error", role: "alert" }, error.message, " ", error.status === 401 ? loginLink() : null), ...way);
  }
}

function tell(status) {
  if (status) warn(status.problems.length ? status.problems : status.is_reading ? ["Older jobs are still being read …"] : []);
}

function warn(texts) {
  banner.hidden = texts.length === 0;
  banner.replaceChildren(...texts.map((each) => el("p", { dir: "auto" }, each)));
}

/** Returns what is in the search field, also if the search for it has not begun. */
function searchText() {
  return search.value.trim();
}

function startSearch() {
  const now = route();
  const isJobs = viewName(now) === "jobs";
  go({ view: "jobs", q: searchText(), state: isJobs ? now.get("state") : null }, { replace: isJobs });
}

function forgetTyping() {
  clearTimeout(typing);
  typing = 0;
}

search.addEventListener("input", () => {
  forgetTyping();
  typing = setTimeout(startSearch, SEARCH_MS);
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='?']");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(Object.fromEntries(new URLSearchParams(link.getAttribute("href"))));
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const isTyping = event.target.matches?.("input, textarea");
  const isLeavingSearch = event.target === search && ["Enter", "ArrowDown"].includes(event.key);
  if (isLeavingSearch && typing) startSearch();
  const rows = view?.rows;
  if (event.key === "Escape") {
    if (isTyping) event.target.blur();
    else if (viewName(route()) in LISTS) back();
    else if (route().get("q") || route().get("state")) go({ view: viewName(route()) });
  } else if (isTyping) {
    if (isLeavingSearch) {
      search.blur();
      rows?.element.focus();
      rows?.move(0);
    }
  } else if (event.key === "/") {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (rows && ["j", "ArrowDown"].includes(event.key)) {
    event.preventDefault();
    rows.move(1);
  } else if (rows && ["k", "ArrowUp"].includes(event.key)) {
    event.preventDefault();
    rows.move(-1);
  } else if (rows && event.key === "Enter" && !event.target.closest?.("a, button")) rows.openSelected();
});

function back() {
  if (history.length > 1) history.back();
  else go({ view: LISTS[viewName(route())] });
}

addWayBack(document.querySelector("nav"));
addEventListener("popstate", show);
setInterval(renewTimes, 5000);
show();
