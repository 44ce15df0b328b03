// The view Dead letters: the newest ones. They are read again from time to time.

import { count, el, moment, outside, viewLink } from "./dom.js";
import { taskName } from "./jobs.js";
import { Rows } from "./rows.js";

const AGAIN_MS = 15000;

export class DeadLettersView {
  constructor(main, { go, again }) {
    this.main = main;
    this.again = again;
    this.rows = new Rows("Dead letters", { key: (each) => each.location, draw: row, open: (each) => go({ letter: each.location }) });
    this.rows.element.classList.add("letters");
    this.hint = el("p", { class: "hint" }, "Reading the dead letters …");
    this.failures = el("div");
    this.number = el("span", { class: "number" });
    this.parts = [el("h1", {}, "Dead letters ", this.number), this.failures, this.hint, this.rows.element];
    main.replaceChildren(...this.parts);
  }

  load(get, signal) {
    return get("dead-letters", {}, signal);
  }

  take({ letters, failures }) {
    if (!this.hint.isConnected) this.main.replaceChildren(...this.parts); // after an error
    this.number.textContent = count(letters.length);
    this.failures.replaceChildren(...failures.map((each) => el("p", { class: "error" }, outside(each))));
    this.hint.hidden = letters.length > 0;
    this.hint.textContent = "No dead letters. Requests that no worker can read or finish come here.";
    this.rows.set(letters);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.later(), AGAIN_MS);
    return false;
  }

  later() {
    if (document.hidden) this.timer = setTimeout(() => this.later(), AGAIN_MS);
    else this.again(this);
  }

  close() {
    clearTimeout(this.timer);
    this.rows.close();
  }
}

function row(letter) {
  const what = letter.error_message.split("\n")[0].slice(0, 300);
  return el("div", {},
    el("span", { class: "cell name" }, viewLink({ letter: letter.location }, outside(letter.location)),
      el("span", { class: "sub" }, letter.original ? "from " : "origin unknown", letter.original ? outside(letter.original) : null)),
    el("span", { class: "cell what" }, el("span", { class: "bad" }, outside(letter.error_type || "unknown error")), el("span", { class: "sub" }, outside(what))),
    el("span", { class: "cell job" }, outside(letter.job_type ?? "not readable"), letter.correlation_id || letter.task ? el("span", { class: "sub" }, outside(taskName(letter))) : null),
    el("span", { class: "cell worker" }, outside(letter.worker_id ?? "")),
    el("span", { class: "cell when" }, moment(letter.dead_lettered_at)));
}
