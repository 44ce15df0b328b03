// The jobs of one Airflow task: of all its attempts, and of its batch. A single job is opened at once.

import { JobsView } from "./jobs.js";

export class TaskView extends JobsView {
  constructor(main, { go }) {
    super(main, { go, route: new URLSearchParams() });
    this.go = go;
    this.filters = filtersOfAddress();
    this.query = { ...this.filters, show: "jobs" };
    main.querySelector("h1").firstChild.textContent = "Jobs of this task ";
    main.querySelector(".chips").remove();
  }

  take(answer) {
    if (answer.total === 1 && !answer.status.is_reading) {
      this.go({ job: answer.jobs[0].correlation_id }, { replace: true });
      return false;
    }
    return super.take(answer);
  }

  emptyText() {
    if (this.isReading) return "Reading the topics …";
    return "No job of this task. It has not published one, or that was before the time that is shown, or on a request topic that is not shown.";
  }
}

/** Reads the address as Airflow makes it: in Airflow 3.1, a plus in it is a plus. */
function filtersOfAddress() {
  const found = {};
  for (const each of location.search.slice(1).split("&")) {
    const [name, value] = each.split("=", 2);
    if (["dag_id", "run_id", "task_id", "map_index"].includes(name)) found[name] = decoded(value ?? "");
  }
  // It is not filled in for a task that is not mapped, nor for all the instances of a mapped one.
  if (!/^-?\d+$/.test(found.map_index)) delete found.map_index;
  return found;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
