// What people write into the search field: text, and filters such as dag:nightly or run:"a b".

const FILTERS = { dag: "dag_id", run: "run_id", task: "task_id", type: "job_type", worker: "worker_id", topic: "topic" };
const WORD = /(?:(dag|run|task|type|worker|topic):)?(?:"([^"]*)"|(\S+))/gi;

/** Returns the parameters of the server for a search. */
export function filtersOf(search) {
  const query = {};
  const words = [];
  for (const [, name, quoted, plain] of search.matchAll(WORD)) {
    if (name) query[FILTERS[name.toLowerCase()]] = quoted ?? plain;
    else words.push(quoted ?? plain);
  }
  if (words.length) query.text = words.join(" ");
  return query;
}

/** Returns the search for one filter. */
export function searchFor(name, value) {
  return `${name}:${/[\s"]/.test(value) ? `"${value.replaceAll('"', "*")}"` : value}`;
}
