// The page of one dead letter: why it is one, its headers, its value, and the way back to its topic.

import { get, post } from "./api.js";
import { bytes, count, el, longText, moment, outside, viewLink } from "./dom.js";
import { dataOf } from "./job.js";
import { taskName } from "./jobs.js";

export class LetterView {
  constructor(main, { route }) {
    this.location = route.get("letter");
    this.main = main;
    this.data = el("div");
    this.sent = el("div", { role: "status" });
    main.replaceChildren(el("p", { class: "hint" }, "Reading the dead letter …"));
  }

  get path() {
    // "topic[partition]@offset", as errors write it.
    const [, topic, partition, offset] = /^(.+)\[(\d+)\]@(\d+)$/.exec(this.location) ?? ["", "?", "?", "?"];
    return ["dead-letters", topic, partition, offset].map(encodeURIComponent).join("/");
  }

  load(_, signal) {
    return get(this.path, {}, signal);
  }

  take(answer) {
    const { letter } = answer;
    document.title = `Dead letter · ${letter.job_type ?? letter.error_type}`;
    this.main.replaceChildren(
      el("div", { class: "title" }, el("h1", {}, "Dead letter ", outside(letter.job_type ?? "")), answer.may_replay ? this.replayButton(letter) : null),
      el("p", { class: "id" }, el("code", {}, outside(letter.location))),
      this.sent,
      facts(answer),
      el("section", { class: "failure" }, el("h2", {}, outside(letter.error_type || "Unknown error")), longText(answer.error_message)),
      ...headers(answer),
      this.dataPart(answer));
    return false;
  }

  close() {}

  dataPart(answer) {
    const name = answer.unreadable === null ? "Payload" : "Value";
    const part = el("section", {}, el("h2", {}, name));
    if (!answer.may_see_value) part.append(el("p", { class: "hint" }, "You may see this dead letter, but not its data."));
    else if (!answer.size) part.append(el("p", { class: "hint" }, "There is none."));
    else part.append(el("button", { type: "button", click: () => this.showData(name.toLowerCase()) }, `Show (${bytes(answer.size)})`), this.data);
    return part;
  }

  async showData(name) {
    this.data.replaceChildren(el("p", { class: "hint" }, "Reading …"));
    try {
      this.data.replaceChildren(...dataOf(name, await get(`${this.path}/value`)));
    } catch (error) {
      this.data.replaceChildren(el("p", { class: "error" }, error.message));
    }
  }

  replayButton(letter) {
    return el("button", { type: "button", class: "danger", click: () => this.askReplay(letter) }, "Replay …");
  }

  askReplay(letter) {
    const asNew = el("input", { type: "checkbox", id: "as-new" });
    const problem = el("p", { class: "error", role: "alert" });
    const send = el("button", { type: "submit", class: "danger" }, "Replay");
    const dialog = el("dialog", { "aria-label": "Replay the dead letter" }, el("form", { method: "dialog" },
      el("p", {}, "Send this request to its topic again, unchanged? It also stays in the dead-letter topic."),
      el("p", { class: "choice" }, asNew, el("label", { for: "as-new" }, "If its job is finished, submit it as a new job. No task waits for that one.")),
      problem,
      el("div", { class: "buttons" }, el("button", { type: "button", click: () => dialog.close() }, "Leave it"), send)));
    dialog.addEventListener("close", () => dialog.remove());
    dialog.addEventListener("submit", async (event) => {
      event.preventDefault();
      send.disabled = true;
      try {
        this.told(letter, await post(`${this.path}/replay`, { as_new: asNew.checked }));
        dialog.close();
      } catch (error) {
        send.disabled = false;
        problem.textContent = error.message;
      }
    });
    document.body.append(dialog);
    dialog.showModal();
  }

  told(letter, { location, new_job: newJob }) {
    const job = newJob ?? letter.correlation_id;
    this.sent.replaceChildren(el("p", {}, "Replayed as ", outside(location), ...(job ? [": ", jobLink(job)] : [])));
  }
}

function jobLink(job) {
  return viewLink({ job }, el("code", {}, job));
}

function facts({ letter, key, unreadable, left_out: leftOut }) {
  const known = [
    ["Written", letter.dead_lettered_at && moment(letter.dead_lettered_at)],
    ["From", letter.original && outside(letter.original)],
    ["Job", letter.correlation_id && jobLink(letter.correlation_id)],
    ["Task", letter.task && outside(taskName(letter))],
    ["Worker", letter.worker_id && outside(letter.worker_id)],
    ["Key", key && key !== letter.correlation_id ? outside(key) : null],
    ["Not readable", unreadable && outside(unreadable)],
    ["Headers not shown", leftOut ? count(leftOut) : null],
  ];
  return el("dl", {}, ...known.filter(([, value]) => value).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function headers({ headers: all }) {
  if (!all.length) return [];
  const lines = all.map(({ name, value }) => el("div", {}, el("dt", {}, outside(name)), el("dd", {}, outside(value))));
  return [el("details", {}, el("summary", {}, all.length === 1 ? "1 header" : `${count(all.length)} headers`), el("dl", {}, ...lines))];
}
