// The jobs of one Airflow task: of all its attempts, and of its batch. A single job is opened at once.

import { beginOf } from "./airflow.js";
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

  /** The jobs that are followed, or else those that Kafka still has from the task's beginning. */
  async load(get, signal) {
    const answer = await super.load(get, signal);
    if (answer.total || answer.status.is_reading) return answer;
    this.hasLookedFurther = true;
    const begin = await beginOf(this.filters, signal).catch(() => null);
    return begin === null ? answer : get("task/jobs", { ...this.filters, ...begin }, signal);
  }

  take(answer) {
    if (answer.total === 1 && !answer.status.is_reading) {
      this.go({ job: answer.jobs[0].correlation_id }, { replace: true });
      return false;
    }
    const isToAskAgain = super.take(answer);
    const isEmpty = !this.isReading && this.jobs.size === 0;
    return isToAskAgain || (isEmpty && !this.hasLookedFurther);
  }

  /** What is removed is no longer followed, or was never: a job remains one of its task. */
  merge({ jobs }) {
    super.merge({ jobs, removed: [] });
  }

  emptyText() {
    if (this.isReading) return "Reading the topics …";
    return "No job of this task. It has not published one, or its records have been removed by retention, or its request topic is not shown.";
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
