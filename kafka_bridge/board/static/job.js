// The page of one job: what is known of it, its time line, its payload and its result.

import { taskPage } from "./airflow.js";
import { get, post } from "./api.js";
import { bytes, count, duration, el, exact, longText, moment, outside, state, viewLink, webLink } from "./dom.js";
import { taskName } from "./jobs.js";
import { inLines } from "./json_text.js";
import { bar, curve, words } from "./progress.js";
import { searchFor } from "./search.js";

const AGAIN_MS = 3000;
const FOLDED = 4;

export class JobView {
  constructor(main, { route }) {
    this.id = route.get("job");
    this.query = { show: "jobs", text: this.id };
    this.main = main;
    this.openFolds = new Set();
    this.data = el("div");
    main.replaceChildren(el("p", { class: "hint" }, "Reading the records of the job …"));
  }

  load(_, signal) {
    return get(`jobs/${encodeURIComponent(this.id)}`, {}, signal);
  }

  take(answer) {
    if (answer.events !== undefined) this.show(answer);
    else if (answer.reload || answer.jobs?.some((each) => each.correlation_id === this.id)) this.later();
    return false;
  }

  /** Read the time line again, not more often than every few seconds. */
  later() {
    if (this.timer || this.isClosed) return;
    this.timer = setTimeout(async () => {
      this.timer = 0;
      try {
        const answer = await this.load();
        if (!this.isClosed) this.show(answer);
      } catch {
        this.later();
      }
    }, AGAIN_MS);
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
  }

  show(answer) {
    const { job } = answer;
    document.title = `${job.state.toLowerCase()} · ${job.job_type ?? "job"}`;
    if (document.querySelector("dialog[open]")) return this.later();
    this.main.replaceChildren(
      el("div", { class: "title" }, state(job.state), el("h1", {}, outside(job.job_type ?? "Job")), answer.may_cancel ? this.cancelButton(job) : null),
      el("p", { class: "id" }, el("code", {}, job.correlation_id)),
      ...answer.failures.map((each) => el("p", { class: "error" }, outside(each))),
      facts(answer),
      ...errorOf(answer),
      ...progressOf(answer),
      el("h2", {}, "Time line"), this.timeline(answer),
      ...unreadable(answer),
      this.dataPart(answer));
  }

  timeline({ job, events, left_out: leftOut }) {
    const list = el("ol", { class: "timeline" });
    if (job.requested_at) list.append(el("li", {}, exact(job.requested_at), state("QUEUED"), el("span", {}, "requested")));
    if (leftOut) list.append(el("li", { class: "hint" }, `${count(leftOut)} events in the middle are not shown.`));
    for (const group of groups(events)) {
      if (group.length < FOLDED) list.append(...group.map(eventLine));
      else list.append(eventLine(group[0]), this.fold(group.slice(1, -1)), eventLine(group.at(-1)));
    }
    if (job.cancel) {
      list.append(el("li", {}, exact(job.cancel.issued_at), el("span", { class: "state cancelled" }, "cancel"), outside(job.cancel.reason)));
    }
    return list;
  }

  fold(events) {
    const key = events[0].location;
    const inner = el("ol", { class: "timeline" });
    const fold = el("details", {}, el("summary", {}, `${count(events.length)} more ${events[0].state} events`), inner);
    const fill = () => inner.childElementCount || inner.append(...events.map(eventLine));
    fold.open = this.openFolds.has(key);
    if (fold.open) fill();
    fold.addEventListener("toggle", () => {
      if (fold.open) fill();
      this.openFolds[fold.open ? "add" : "delete"](key);
    });
    return el("li", {}, fold);
  }

  dataPart(answer) {
    const sizes = [
      answer.payload_size === null ? null : `payload ${bytes(answer.payload_size)}`,
      ...answer.events.filter((each) => each.result_size !== null).slice(-1).map((each) => `result ${bytes(each.result_size)}`),
    ].filter(Boolean);
    const part = el("section", {}, el("h2", {}, "Payload and result"));
    if (!answer.may_see_payload) part.append(el("p", { class: "hint" }, "You may see this job, but not its data."));
    else if (!sizes.length) part.append(el("p", { class: "hint" }, "The job has none."));
    else {
      const again = this.data.childElementCount > 0 ? "Read again" : `Show (${sizes.join(", ")})`;
      part.append(el("button", { type: "button", click: () => this.showData() }, again), this.data);
    }
    return part;
  }

  async showData() {
    this.data.replaceChildren(el("p", { class: "hint" }, "Reading …"));
    try {
      const answer = await get(`jobs/${encodeURIComponent(this.id)}/data`);
      this.data.replaceChildren(...["payload", "result"].flatMap((name) => dataOf(name, answer[name])));
    } catch (error) {
      this.data.replaceChildren(el("p", { class: "error" }, error.message));
    }
  }

  cancelButton(job) {
    return el("button", { type: "button", class: "danger", click: () => this.askCancel(job) }, "Cancel the job …");
  }

  askCancel(job) {
    const reason = el("input", { type: "text", maxlength: "500", id: "reason", dir: "auto", placeholder: "for the logs of the worker and the task" });
    const problem = el("p", { class: "error", role: "alert" });
    const send = el("button", { type: "submit", class: "danger" }, "Cancel the job");
    const dialog = el("dialog", { "aria-label": "Cancel the job" }, el("form", { method: "dialog" },
      el("p", {}, "Cancel ", outside(job.job_type ?? "the job"), " of ", outside(taskName(job)), "?"),
      el("p", { class: "hint" }, "The worker stops it and confirms with a CANCELLED event. A task that waits for the job fails."),
      el("label", { for: "reason" }, "Reason"), reason, problem,
      el("div", { class: "buttons" }, el("button", { type: "button", click: () => dialog.close() }, "Keep it running"), send)));
    dialog.addEventListener("close", () => dialog.remove());
    dialog.addEventListener("submit", async (event) => {
      event.preventDefault();
      send.disabled = true;
      try {
        await post(`jobs/${encodeURIComponent(this.id)}/cancel`, { reason: reason.value });
        dialog.close();
        this.later();
      } catch (error) {
        send.disabled = false;
        problem.textContent = error.message;
      }
    });
    document.body.append(dialog);
    dialog.showModal();
  }
}

/** Events in groups: RUNNING events of one delivery that follow each other are one group. */
function groups(events) {
  const found = [];
  for (const each of events) {
    const last = found.at(-1)?.at(-1);
    const isSame = last && last.state === "RUNNING" && each.state === "RUNNING" && last.delivery === each.delivery;
    if (isSame) found.at(-1).push(each);
    else found.push([each]);
  }
  return found;
}

function eventLine(event) {
  const parts = [
    event.progress ? words(event.progress) : null,
    event.message ? outside(event.message) : null,
    event.error ? el("span", { class: "bad" }, outside(event.error.type)) : null,
    event.result_size === null ? null : el("span", {}, `result: ${bytes(event.result_size)}`),
    event.result_uri ? webLink(event.result_uri, `result: ${event.result_uri}`) : null,
    event.is_stale ? el("span", { class: "hint" }, "changed nothing") : null,
  ].filter(Boolean);
  return el("li", { class: event.is_stale ? "stale" : null, title: event.location },
    exact(event.occurred_at), state(event.state),
    el("span", { class: "event" }, ...parts.flatMap((each, index) => (index ? [" · ", each] : [each])),
      el("span", { class: "sub" }, event.delivery > 1 ? `delivery ${event.delivery} · ` : "", outside(event.worker_id))));
}

function facts({ job, request_location: place, attempt, waiting_before: before }) {
  const { task } = job;
  const known = [
    ["Task", task && taskLink(job)],
    ["Run", task && viewLink({ view: "jobs", q: searchFor("run", task.run_id) }, outside(task.run_id))],
    ["Attempt", attempt > 1 ? viewLink({ view: "jobs", q: ofTask(task) }, `${count(attempt)}: see all of the task`) : null],
    ["Topic", job.topic && viewLink({ view: "jobs", q: searchFor("topic", job.topic) }, outside(job.topic))],
    ["Record", place && outside(place)],
    ["Worker", job.worker_id && viewLink({ view: "jobs", q: searchFor("worker", job.worker_id) }, outside(job.worker_id))],
    ["Job of the worker's system", job.external_id && outside(job.external_id)],
    ["Checkpoint", job.checkpoint && outside(job.checkpoint)],
    ["Deliveries", job.delivery > 1 ? count(job.delivery) : null],
    ["Requested", job.requested_at && moment(job.requested_at)],
    ["Waits behind", before === null ? null : viewLink({ view: "jobs", q: searchFor("topic", job.topic), state: "QUEUED" }, before === 1 ? "1 job" : `${count(before)} jobs`)],
    ["Waited", job.waited === null ? null : duration(job.waited)],
    ["Ended", job.ended_at && moment(job.ended_at)],
    ["Ran", job.ran === null ? null : duration(job.ran)],
    ["Cancel", job.cancel && outside(job.cancel.reason || "sent")],
    ["Message", job.message && outside(job.message)],
  ];
  return el("dl", {}, ...known.filter(([, value]) => value).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

/** A search for all jobs of a task. */
function ofTask({ dag_id: dag, run_id: run, task_id: name }) {
  return [["dag", dag], ["run", run], ["task", name]].map((each) => searchFor(...each)).join(" ");
}

function taskLink(job) {
  const page = taskPage(job.task);
  if (page !== null) return el("a", { href: page, target: "_top", title: "Open the task in Airflow" }, outside(taskName(job)), " ↗");
  return job.task.url ? webLink(job.task.url, taskName(job)) : outside(taskName(job));
}

function errorOf({ job, events }) {
  if (!job.error) return [];
  const whole = events.filter((each) => each.error && !each.is_stale).at(-1)?.error ?? job.error;
  const retry = whole.retryable ? "Another try may succeed." : "Another try does not help.";
  const details = whole.details ? el("details", { open: true }, el("summary", {}, "Details"), longText(whole.details)) : null;
  return [el("section", { class: "failure" }, el("h2", {}, outside(whole.type)), longText(whole.message), el("p", { class: "hint" }, retry), details)];
}

function progressOf({ job, events }) {
  const picture = curve(events);
  if (!job.progress) return picture ? [picture] : [];
  return [el("p", { class: "line" }, bar(job.progress), words(job.progress, job.seconds_left)), ...(picture ? [picture] : [])];
}

function unreadable({ unreadable: records }) {
  if (!records.length) return [];
  return [el("details", {}, el("summary", {}, `${count(records.length)} records of the job cannot be read`), ...records.map((each) => el("p", {}, outside(each))))];
}

export function dataOf(name, data) {
  if (!data) return [];
  const head = el("h3", {}, `${name} (${bytes(data.size)}`, ...(data.media_type ? [", ", outside(data.media_type)] : []), ")");
  if (data.text === null) return [head, el("p", { class: "hint" }, "Binary data, which is not shown.")];
  return [head, longText(inLines(data.text))];
}
