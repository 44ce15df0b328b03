package runtime

import (
	"context"
	"log/slog"
	"time"

	"kafkabridge/internal/kafka"
	"kafkabridge/internal/protocol"
)

// services is what the loop needs of Kafka. Only the functions with a context may block: the loop calls
// them in goroutines.
type services struct {
	publisher publisher
	lease     interface {
		IsValid() bool
		RenewSoon()
	}
	// cancelled returns the reason of a CANCEL for a job, and whether there was one.
	cancelled func(correlationID string) (reason string, found bool)
	// commit commits offsets by partition.
	commit func(ctx context.Context, offsets map[int32]int64) error
	// readLedger reads the control topic, and then a response topic into a snapshot.
	readLedger func(ctx context.Context, topic string, into *snapshot) error
	// backlog returns for each partition what the group has not committed.
	backlog func(ctx context.Context) (map[int32]kafka.Extent, error)
}

// A loop decides about the jobs of a worker.
type loop struct {
	settings Settings
	services services
	mailbox  *mailbox
	log      *slog.Logger
	ended    chan struct{}

	ctx         context.Context // of goroutines that end with the loop
	stopping    bool
	partitions  map[int32]*partition
	epoch       int
	heldUntil   time.Time // new jobs wait for the backlog until then
	jobs        map[jobID]*job
	orphans     map[jobID]*job // run on here, although their partitions were lost
	undecided   map[*job]struct{}
	queue       *queue
	ready       map[*job]struct{} // are accepted, and wait until the membership is confirmed
	waiting     int               // requests that wait in the process
	waitingSize int
	slots       *slots
	snapshots   map[string]*snapshot
	reading     map[string]bool
	finished    *recentIDs
	drains      []*drain
	room        chan struct{} // the poller waits for it
	committing  bool
	lastCommit  time.Time
}

// newLoop returns a loop that does nothing yet.
func newLoop(settings Settings, services services) *loop {
	return &loop{
		settings:   settings,
		services:   services,
		mailbox:    newMailbox(),
		log:        settings.Log,
		ended:      make(chan struct{}),
		partitions: map[int32]*partition{},
		jobs:       map[jobID]*job{},
		orphans:    map[jobID]*job{},
		undecided:  map[*job]struct{}{},
		queue:      newQueue(),
		ready:      map[*job]struct{}{},
		slots:      newSlots(settings.Concurrency, settings.Handlers),
		snapshots:  map[string]*snapshot{},
		reading:    map[string]bool{},
		finished:   newRecentIDs(recentFinished),
	}
}

// run decides until the context ends, and then until all jobs have ended or are given back.
func (l *loop) run(ctx context.Context) {
	defer close(l.ended)
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	l.ctx = own
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	stop := ctx.Done()
	var drained <-chan struct{}
	for {
		select {
		case <-l.mailbox.signal:
		case <-ticker.C:
		case <-stop:
			stop = nil
			drained = l.shutDown()
		case <-drained:
			return
		}
		for _, f := range l.mailbox.take() {
			f()
		}
		l.work()
	}
}

// do runs a function on the loop and waits for it, or for the end of the loop.
func (l *loop) do(f func()) {
	done := make(chan struct{})
	l.mailbox.post(func() { f(); close(done) })
	l.await(done)
}

func (l *loop) await(done <-chan struct{}) {
	select {
	case <-done:
	case <-l.ended:
	}
}

// work does what has become possible.
func (l *loop) work() {
	l.startReadings()
	l.startReady()
	l.acceptJobs()
	l.checkDrains()
	l.commitSometimes()
	if l.room != nil && !l.isFull() {
		close(l.room)
		l.room = nil
	}
}

func (l *loop) isFull() bool {
	return l.waiting >= maxQueuedJobs || l.waitingSize >= maxQueuedBytes
}

// cancelled notes a CANCEL that has arrived.
func (l *loop) cancelled(correlationID string) {
	l.mailbox.post(func() {
		if j := l.jobs[idOf([]byte(correlationID))]; j != nil {
			l.applyCancel(j)
		}
	})
}

func (l *loop) applyCancel(j *job) {
	reason, found := l.services.cancelled(j.request.CorrelationID)
	if !found {
		return
	}
	switch j.phase {
	case phaseQueued:
		l.leaveQueue(j)
		l.end(j, ending{state: protocol.StateCancelled, message: reason})
	case phaseRunning:
		j.ask(&Stop{Kind: StopCancelled, Reason: reason})
	}
}
