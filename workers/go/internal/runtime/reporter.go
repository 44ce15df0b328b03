package runtime

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafkabridge/internal/kafka"
	"kafkabridge/internal/protocol"
)

const (
	// heartbeatShare is the share of the interval after which a heartbeat goes out, so that it arrives in time.
	heartbeatShare = 0.75
	// progressPause is the shortest time between two events that carry progress.
	progressPause = 500 * time.Millisecond
	// checkpointPause is the shortest time between two events that carry a new checkpoint.
	checkpointPause = 250 * time.Millisecond
	// blockedPause is how long a reporter waits that may not publish now.
	blockedPause = 100 * time.Millisecond
	// retryPause is the pause before an event is sent again.
	retryPause = time.Second
	idlePause  = time.Hour
)

// A publisher publishes records. The promise is called from any goroutine, once.
type publisher interface {
	TryProduce(ctx context.Context, record *kgo.Record, promise func(*kgo.Record, error))
}

// A reporter publishes the status events of one delivery of one job, in order. It is safe for use by
// several goroutines.
//
// While it may not publish, heartbeats and progress are dropped, and the event that must arrive waits.
type reporter struct {
	publisher publisher
	lease     interface{ IsValid() bool }
	log       *slog.Logger
	request   *protocol.JobRequest
	headers   []protocol.Header
	encoding  protocol.Encoding
	workerID  string
	delivery  int32
	owned     atomic.Bool // whether the group has not given the partition to another worker

	mu           sync.Mutex
	sequence     int64
	externalID   *string
	checkpoint   *string // in every event but the terminal one
	note         string  // the message of heartbeats
	started      bool    // an event was published
	closed       bool    // nothing is published after the event that must arrive
	pending      *pendingEvent
	unsent       *protocol.StatusEvent // progress that waits
	lastSent     time.Time
	lastProgress time.Time
	unsaved      bool // the checkpoint is in no event yet
	lastSaved    time.Time
	timer        *time.Timer
	ctx          context.Context // ends when nothing more may be sent, not even what was passed to the client
	cancel       context.CancelFunc
}

// A pendingEvent is sent again until the brokers have it.
type pendingEvent struct {
	value   []byte
	sent    bool
	due     time.Time
	settled func(error)
}

func (r *reporter) start() {
	r.owned.Store(true)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.timer = time.AfterFunc(idlePause, r.tick)
}

func (r *reporter) mayPublish() bool { return r.owned.Load() && r.lease.IsValid() }

// publish makes an event that must arrive. settled is called with nil once the brokers have it, or with
// the reason why they never will; never after abandon.
func (r *reporter) publish(state protocol.State, end ending, settled func(error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flushProgress()
	if state.IsTerminal() {
		r.flushCheckpoint()
	}
	event := r.event(state)
	event.Message = optional(protocol.OneLine(end.message, protocol.MaxMessageBytes))
	if end.resultType != "" {
		event.Result, event.ResultType = end.result, &end.resultType
	}
	event.Error = end.failure
	if end.attributes != nil {
		event.Attributes = end.attributes
	}
	value, err := protocol.EncodeEvent(event, r.encoding)
	if err != nil {
		return err
	}
	r.closed = r.closed || state != protocol.StateAccepted
	r.pending = &pendingEvent{value: value, settled: settled}
	r.sendPending()
	r.arm()
	return nil
}

func (r *reporter) sendPending() {
	pending := r.pending
	if pending == nil || pending.sent || time.Now().Before(pending.due) || !r.mayPublish() {
		return
	}
	pending.sent = true
	r.send(r.ctx, pending.value, func(err error) { r.delivered(pending, err) })
}

func (r *reporter) delivered(pending *pendingEvent, err error) {
	r.mu.Lock()
	if r.pending != pending {
		r.mu.Unlock()
		return
	}
	if err != nil && !isFinal(err) {
		pending.sent, pending.due = false, time.Now().Add(retryPause)
		r.arm()
		r.mu.Unlock()
		return
	}
	r.pending = nil
	r.arm()
	r.mu.Unlock()
	pending.settled(err)
}

// isFinal tells whether the brokers will never accept a record.
func isFinal(err error) bool {
	return kafka.IsUnusable(err) || isTooLarge(err) || errors.Is(err, kerr.InvalidRecord) || errors.Is(err, kgo.ErrClientClosed)
}

func isTooLarge(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge)
}

func (r *reporter) progress(completed float64, total *float64, unit string) {
	if !isFinite(completed) || total != nil && !isFinite(*total) {
		r.log.Warn("Progress is not a finite number and was dropped", "job", r.request.CorrelationID)
		return
	}
	r.report(&protocol.Progress{
		Completed: completed,
		Total:     total,
		Unit:      optional(protocol.OneLine(unit, protocol.MaxUnitBytes)),
	}, "")
}

func isFinite(number float64) bool { return !math.IsNaN(number) && !math.IsInf(number, 0) }

// report publishes progress, or a line for people, or both: now, or soon. The latest values win.
func (r *reporter) report(progress *protocol.Progress, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if r.unsent == nil {
		r.unsent = &protocol.StatusEvent{}
	}
	if progress != nil {
		r.unsent.Progress = progress
	}
	if message != "" {
		r.unsent.Message = optional(protocol.OneLine(message, protocol.MaxMessageBytes))
	}
	if time.Since(r.lastProgress) >= progressPause {
		r.flushProgress()
	}
	r.arm()
}

func (r *reporter) flushProgress() {
	if r.unsent == nil || r.closed || !r.mayPublish() {
		return
	}
	event := r.event(protocol.StateRunning)
	event.Progress, event.Message = r.unsent.Progress, r.unsent.Message
	r.unsent, r.lastProgress = nil, time.Now()
	r.sendFreely(event)
}

func (r *reporter) setExternalID(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.externalID = optional(protocol.OneLine(id, protocol.MaxMessageBytes))
	if !r.closed && r.mayPublish() {
		r.sendFreely(r.event(protocol.StateRunning))
	}
}

// saveCheckpoint publishes a checkpoint: now, or soon. The latest one wins.
func (r *reporter) saveCheckpoint(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.checkpoint != nil && *r.checkpoint == text {
		return
	}
	r.checkpoint, r.unsaved = &text, true
	if time.Since(r.lastSaved) >= checkpointPause {
		r.flushCheckpoint()
	}
	r.arm()
}

func (r *reporter) flushCheckpoint() {
	if r.unsaved && !r.closed && r.mayPublish() {
		r.sendFreely(r.event(protocol.StateRunning))
	}
}

// setNote sets the message of all later heartbeats.
func (r *reporter) setNote(note string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note = note
}

// hasStarted tells whether an event was published.
func (r *reporter) hasStarted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started
}

// heartbeatNow publishes the first heartbeat of a job without ACCEPTED.
func (r *reporter) heartbeatNow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started = true
	r.heartbeat()
	r.arm()
}

func (r *reporter) heartbeat() {
	if r.closed || !r.mayPublish() {
		return
	}
	event := r.event(protocol.StateRunning)
	event.Message = optional(r.note)
	r.sendFreely(event)
}

// tick publishes what is due.
func (r *reporter) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sendPending()
	now := time.Now()
	if r.unsent != nil && now.Sub(r.lastProgress) >= progressPause {
		r.flushProgress()
	}
	if now.Sub(r.lastSaved) >= checkpointPause {
		r.flushCheckpoint()
	}
	if wait := r.heartbeatPause(); wait > 0 && r.pending == nil && now.Sub(r.lastSent) >= wait {
		r.heartbeat()
	}
	r.arm()
}

func (r *reporter) heartbeatPause() time.Duration {
	if !r.started || r.closed {
		return 0
	}
	interval := time.Duration(r.request.HeartbeatIntervalMS) * time.Millisecond
	return time.Duration(float64(interval) * heartbeatShare)
}

// arm sets the timer to the next moment at which something is due.
func (r *reporter) arm() {
	if r.closed && r.pending == nil {
		r.timer.Stop()
		return
	}
	now := time.Now()
	next := now.Add(idlePause)
	sooner := func(moment time.Time) {
		if moment.Before(next) {
			next = moment
		}
	}
	if r.pending != nil && !r.pending.sent {
		sooner(r.pending.due)
	}
	if r.unsent != nil && !r.closed {
		sooner(r.lastProgress.Add(progressPause))
	}
	if r.unsaved && !r.closed {
		sooner(r.lastSaved.Add(checkpointPause))
	}
	if wait := r.heartbeatPause(); wait > 0 && r.pending == nil {
		sooner(r.lastSent.Add(wait))
	}
	pause := next.Sub(now)
	if pause <= 0 {
		pause = blockedPause // it was due, and could not be published
	}
	r.timer.Reset(pause)
}

// event returns the next event of the job.
func (r *reporter) event(state protocol.State) *protocol.StatusEvent {
	event := &protocol.StatusEvent{
		CorrelationID: r.request.CorrelationID,
		EventID:       newEventID(),
		Delivery:      r.delivery,
		Sequence:      r.sequence,
		State:         state,
		OccurredAt:    time.Now().UnixMilli(),
		WorkerID:      r.workerID,
		ExternalID:    r.externalID,
	}
	if r.checkpoint != nil && !state.IsTerminal() {
		event.Attributes = map[string]string{protocol.AttributeCheckpoint: *r.checkpoint}
		if r.unsaved {
			r.unsaved, r.lastSaved = false, time.Now()
		}
	}
	r.sequence++
	r.started, r.lastSent = true, time.Now()
	return event
}

// sendFreely sends an event that need not arrive. It is dropped if it cannot be sent soon.
func (r *reporter) sendFreely(event *protocol.StatusEvent) {
	value, err := protocol.EncodeEvent(event, r.encoding)
	if err != nil {
		r.log.Error("An event cannot be encoded", "job", r.request.CorrelationID, "error", err)
		return
	}
	const soon = 5 * time.Second
	ctx, cancel := context.WithTimeout(r.ctx, soon)
	saved := r.checkpoint
	r.send(ctx, value, func(err error) {
		cancel()
		if saved != nil && isTooLarge(err) {
			r.dropCheckpoint(saved)
		}
	})
}

// dropCheckpoint forgets a checkpoint that the topic does not take, so that heartbeats go on.
func (r *reporter) dropCheckpoint(saved *string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.checkpoint == saved {
		r.checkpoint, r.unsaved = nil, false
		r.log.Warn("A checkpoint is too large for the response topic and was not saved", "job", r.request.CorrelationID)
	}
}

func (r *reporter) send(ctx context.Context, value []byte, delivered func(error)) {
	record := kafka.NewRecord(r.request.ResponseTopic, []byte(r.request.CorrelationID), value, r.headers)
	r.publisher.TryProduce(ctx, record, func(_ *kgo.Record, err error) { delivered(err) })
}

// suspend publishes nothing more until resume: the group may have given the job to another worker. Even
// what was passed to the client is not sent, if it can be held back.
func (r *reporter) suspend() {
	r.owned.Store(false)
	r.cancel()
}

// resume continues after suspend: the group has given the job back.
func (r *reporter) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.owned.Store(true)
	r.arm()
}

// abandon publishes nothing more, whatever the handler does.
func (r *reporter) abandon() {
	r.suspend()
	r.close()
}

// close publishes nothing more; an event that was sent is not held back.
func (r *reporter) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed, r.pending, r.unsent = true, nil, nil
	r.timer.Stop()
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
