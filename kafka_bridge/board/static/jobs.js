// The view Jobs: all that fit the search, those with the latest change first.

import { count, el, moment, outside, state, viewLink } from "./dom.js";
import { bar, words } from "./progress.js";
import { Rows } from "./rows.js";
import { filtersOf } from "./search.js";

const MOST = 10000;
const STATES = ["QUEUED", "ACCEPTED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"];

export class JobsView {
  constructor(main, { go, route, searchText }) {
    this.states = (route.get("state") ?? "").split(",").filter((each) => STATES.includes(each));
    this.search = route.get("q") ?? "";
    const filters = { ...filtersOf(this.search), state: this.states };
    this.filters = filters;
    this.query = { ...filters, show: "jobs" };
    this.jobs = new Map();
    this.total = 0;
    this.rows = new Rows("Jobs", { key: (each) => each.correlation_id, draw: row, open: (each) => go({ job: each.correlation_id }) });
    this.rows.element.classList.add("jobs");
    this.hint = el("p", { class: "hint" }, "Loading …");
    this.number = el("span", { class: "number" });
    main.replaceChildren(
      el("h1", {}, "Jobs ", this.number),
      el("div", { class: "chips", role: "group", "aria-label": "States" }, ...STATES.map((each) => this.chip(each, go, searchText))),
      this.hint, this.rows.element);
  }

  chip(name, go, searchText) {
    const isOn = this.states.includes(name);
    const states = isOn ? this.states.filter((each) => each !== name) : [...this.states, name];
    return el("button", { type: "button", class: `chip ${name.toLowerCase()}`, "aria-pressed": String(isOn), click: () => go({ view: "jobs", q: searchText(), state: states.join(",") }) }, name.toLowerCase());
  }

  load(get, signal) {
    return get("jobs", { ...this.filters, limit: MOST }, signal);
  }

  /** Take an answer, or what has changed since the last one. Returns whether to ask for all again. */
  take(answer) {
    if (answer.reload) return true;
    if (answer.total !== undefined) {
      this.jobs = new Map(answer.jobs.map((each) => [each.correlation_id, each]));
      this.total = answer.total;
    } else if (answer.jobs !== null) {
      this.merge(answer);
    }
    this.isReading = answer.status.is_reading;
    this.show();
    return false;
  }

  merge({ jobs, removed }) {
    for (const each of removed) this.total -= this.jobs.delete(each) ? 1 : 0;
    for (const each of jobs) {
      this.total += this.jobs.has(each.correlation_id) ? 0 : 1;
      this.jobs.set(each.correlation_id, each);
    }
  }

  show() {
    const jobs = [...this.jobs.values()].sort((one, other) => later(one, other)).slice(0, MOST);
    if (jobs.length < this.jobs.size) this.jobs = new Map(jobs.map((each) => [each.correlation_id, each]));
    this.number.textContent = this.total > jobs.length ? `${count(jobs.length)} of ${count(this.total)}: search to see others` : count(this.total);
    this.hint.hidden = jobs.length > 0;
    this.hint.replaceChildren(...this.emptyText());
    this.rows.set(jobs);
  }

  emptyText() {
    if (this.isReading) return ["Reading the topics …"];
    if (this.search || this.states.length) return ["No job fits this search. Press / to change it, or ", viewLink({ view: "jobs" }, "see all jobs"), "."];
    return ["No jobs in the time that is shown. The board's settings say how far back it reads, and which request topics."];
  }

  close() {
    this.rows.close();
  }
}

function later(one, other) {
  const [first, second] = [one.changed_at ?? "", other.changed_at ?? ""];
  if (first === second) return one.correlation_id < other.correlation_id ? -1 : 1;
  return Date.parse(second || 0) - Date.parse(first || 0);
}

function row(job) {
  return el("div", {},
    el("span", { class: "cell" }, state(job.state)),
    el("span", { class: "cell name" },
      viewLink({ job: job.correlation_id }, outside(job.job_type ?? (job.topic === null ? "request not read" : "plain request"))),
      el("span", { class: "sub" }, outside(taskName(job)))),
    el("span", { class: "cell what" }, ...what(job)),
    el("span", { class: "cell worker" }, outside(job.worker_id ?? "")),
    el("span", { class: "cell when" }, moment(job.changed_at)));
}

export function taskName({ task, correlation_id: id }) {
  if (task === null) return id;
  const index = task.map_index >= 0 ? `[${task.map_index}]` : "";
  const again = task.try_number > 1 ? ` · try ${task.try_number}` : "";
  return `${task.dag_id} · ${task.task_id}${index}${again}`;
}

function what(job) {
  if (job.error !== null) {
    return [el("span", { class: "bad" }, outside(`${job.error.type}: ${job.error.message.split("\n")[0].slice(0, 300)}`))];
  }
  if (job.state === "QUEUED") return [el("span", { class: "sub" }, job.delivery ? "waits for another worker" : "waits for a worker")];
  const message = job.message === null ? null : el("span", { class: "sub" }, outside(job.message));
  if (job.progress !== null && job.state === "RUNNING") {
    return [el("span", { class: "line" }, bar(job.progress), words(job.progress, job.seconds_left)), message];
  }
  return [message];
}
