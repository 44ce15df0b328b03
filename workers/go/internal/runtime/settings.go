package runtime

import (
	"log/slog"
	"time"
)

const (
	// maxQueuedJobs and maxQueuedBytes limit the requests that wait in the process; then it fetches no more.
	maxQueuedJobs  = 10_000
	maxQueuedBytes = 64 << 20
	jobOverhead    = 1 << 10

	// backlogPatience is how long new jobs wait for the requests that were there before an assignment:
	// interrupted jobs among them start first.
	backlogPatience = 10 * time.Second
	// stopPatience is how long handlers may take that were asked to stop because their jobs are given back.
	stopPatience = time.Second
	// settlePatience is how long the last events of jobs may take that are given back.
	settlePatience = 5 * time.Second
	// revokeGrace is how long running jobs may continue when the group moves their partition.
	revokeGrace = 5 * time.Second

	tickInterval   = 100 * time.Millisecond
	commitInterval = 500 * time.Millisecond
	recentFinished = 100_000
)

// Settings is what the loop must know.
type Settings struct {
	RequestTopic    string
	DeadLetterTopic string
	WorkerID        string
	Concurrency     int
	MaxDeliveries   int
	Grace           time.Duration
	Handlers        map[string]*Handler
	Log             *slog.Logger
}
