// Package runtime runs the jobs of a worker.
//
// One goroutine, the loop, decides: which request becomes a job, which job starts, what is committed. It
// never waits. Everything else, such as handlers, acknowledgements, timers and the group's callbacks,
// posts functions to its mailbox. So the state of jobs and partitions needs no locks. Only a reporter is
// shared: it publishes the events of one job, for its handler and its heartbeats.
package runtime
