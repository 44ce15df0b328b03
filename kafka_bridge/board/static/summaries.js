// The views Queues and Workers: tables that the stream replaces as a whole.

import { count, duration, el, moment, outside, viewLink } from "./dom.js";
import { Rows } from "./rows.js";
import { searchFor } from "./search.js";

export class SummaryView {
  constructor(kind, main, { go }) {
    this.kind = KINDS[kind];
    this.query = { show: kind };
    this.field = kind;
    this.rows = new Rows(this.kind.title, {
      key: this.kind.key,
      draw: this.kind.draw,
      open: (item) => go({ view: "jobs", q: this.kind.search(item) }),
    });
    this.hint = el("p", { class: "hint" }, "Loading …");
    main.replaceChildren(el("h1", {}, this.kind.title), this.hint, el("div", { class: `head ${kind}`, "aria-hidden": "true" }, ...this.kind.columns.map((each) => el("span", {}, each))), this.rows.element);
    this.rows.element.classList.add(kind);
  }

  load(get) {
    return get(this.field);
  }

  take(answer) {
    const items = answer[this.field];
    if (items === null || items === undefined) return;
    this.hint.hidden = items.length > 0;
    this.hint.textContent = answer.status.is_reading ? "Reading the topics …" : this.kind.empty;
    this.rows.set(items);
  }

  close() {
    this.rows.close();
  }
}

function cell(label, ...children) {
  return el("span", { class: "cell", "data-label": label }, ...children);
}

/** Jobs that wait while no worker has one: perhaps no worker reads the topic. */
function waiting({ queued, held }) {
  const found = cell("waiting", count(queued));
  if (queued && !held) {
    found.classList.add("waits");
    found.title = "No worker has a job of this topic. Does one read it?";
  }
  return found;
}

function times(durations) {
  return durations === null ? "–" : `${duration(durations.p50)} / ${duration(durations.p95)}`;
}

function perMinute(number) {
  return number === 0 ? "0" : number < 10 ? number.toFixed(1) : count(Math.round(number));
}

const KINDS = {
  queues: {
    title: "Queues",
    columns: ["request topic", "waiting", "running", "oldest", "ended / min", "failed / min", "waited p50 / p95", "ran p50 / p95"],
    empty: "No jobs in the time that is shown. The board's settings say how far back it reads, and which request topics.",
    key: (each) => each.topic,
    search: (each) => searchFor("topic", each.topic),
    draw: (each) => el("div", {},
      el("span", { class: "cell name" }, viewLink({ view: "jobs", q: searchFor("topic", each.topic) }, outside(each.topic))),
      waiting(each),
      cell("running", count(each.held)),
      cell("oldest", moment(each.oldest_queued_since)),
      cell("ended / min", perMinute(each.ended_per_minute)),
      el("span", { class: each.failed_per_minute > 0 ? "cell bad" : "cell", "data-label": "failed / min" }, perMinute(each.failed_per_minute)),
      cell("waited", times(each.waiting)),
      cell("ran", times(each.running))),
  },
  workers: {
    title: "Workers",
    columns: ["worker", "state", "jobs", "last event", "request topics"],
    empty: "No worker has published an event in the time that is shown. A worker without jobs publishes nothing.",
    key: (each) => each.worker_id,
    search: (each) => searchFor("worker", each.worker_id),
    draw: (each) => el("div", {},
      el("span", { class: "cell name" }, viewLink({ view: "jobs", q: searchFor("worker", each.worker_id) }, outside(each.worker_id))),
      el("span", { class: "cell" }, el("span", { class: `state ${each.state}`, title: MEANING[each.state] }, each.state)),
      cell("jobs", count(each.held)),
      cell("last event", moment(each.last_event_at)),
      cell("topics", outside(each.topics.join(", ")))),
  },
};

const MEANING = {
  alive: "It has jobs, and its last event is recent",
  silent: "It has jobs, but has published nothing for several heartbeat intervals",
  idle: "It has no jobs, and so publishes nothing. It may have stopped",
};
