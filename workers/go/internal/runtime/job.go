package runtime

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafkabridge/internal/kafka"
	"kafkabridge/internal/protocol"
)

// A phase is what a worker is doing with a job.
type phase int

const (
	phaseUndecided phase = iota // waits for the ledger
	phaseQueued                 // waits for a slot
	phaseAccepting              // has a slot; ACCEPTED is being published
	phaseReady                  // ACCEPTED is acknowledged; the job starts as soon as events may be published
	phaseRunning                // its handler runs
	phaseEnding                 // its terminal event is being published
	phaseBurying                // its request is being written to the dead-letter topic
	phaseReleasing              // RELEASED is being published
	phaseOver                   // nothing is left to do
)

// isInFlight tells whether other workers must not get the job before this one has settled it.
func (p phase) isInFlight() bool { return p >= phaseAccepting && p < phaseOver }

// A job is one request that was consumed, and everything that this worker does for it. Only the loop
// uses it.
type job struct {
	partition *partition
	record    *kgo.Record
	request   *protocol.JobRequest
	encoding  protocol.Encoding
	id        jobID

	phase      phase
	history    history
	reporter   *reporter // from phaseAccepting on
	handover   *reporter // heartbeats of an interrupted delivery while the job waits
	hasSlot    bool
	stop       *Stop // what its handler was told
	cancel     context.CancelCauseFunc
	orphan     *job   // the same job, which still runs here since an earlier assignment of the partition
	duplicates []*job // the same request, published again meanwhile
}

func newJob(p *partition, record *kgo.Record, request *protocol.JobRequest, encoding protocol.Encoding) *job {
	return &job{partition: p, record: record, request: request, encoding: encoding, id: idOf([]byte(request.CorrelationID))}
}

func (j *job) headers() []protocol.Header { return kafka.Headers(j.record) }

// size is about how many bytes the job takes while it waits.
func (j *job) size() int { return len(j.record.Value) + jobOverhead }

// ask asks the handler to stop; the first reason counts.
func (j *job) ask(stop *Stop) {
	if j.stop != nil || j.cancel == nil {
		return
	}
	j.stop = stop
	if stop.attribute() != "" {
		j.reporter.setNote("Asked to stop, still runs: " + protocol.OneLine(stop.Error(), protocol.MaxMessageBytes/2))
	}
	j.cancel(stop)
}

// closeHandover ends the heartbeats of the interrupted delivery.
func (j *job) closeHandover() {
	if j.handover != nil {
		j.handover.abandon()
		j.handover = nil
	}
}
