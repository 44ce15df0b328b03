package kafka

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// leaseShare is the share of the session for which one answer of the group counts. The group removes a
	// member a session after its last heartbeat, so a worker is silent well before another one has its jobs.
	leaseShare = 0.5
	// leaseRetry is the pause after a heartbeat that the group did not accept.
	leaseRetry = 200 * time.Millisecond
)

// A Lease says whether this process is certainly a member of its group.
//
// A process that was frozen (SIGSTOP, a suspended machine, a long page-in) cannot know that others have
// its partitions now. So the group is asked with heartbeats of the lease's own, and each accepted one
// counts from the moment before it was sent. The client's heartbeats would not do: one cannot see when
// they were answered.
type Lease struct {
	duration time.Duration
	started  time.Time
	until    atomic.Int64 // since started, in nanoseconds
	renewNow chan struct{}
}

// NewLease returns a lease that is not valid yet.
func NewLease(session time.Duration) *Lease {
	return &Lease{
		duration: time.Duration(float64(session) * leaseShare),
		started:  time.Now(),
		renewNow: make(chan struct{}, 1),
	}
}

// IsValid tells whether events may be published now.
func (l *Lease) IsValid() bool {
	return int64(time.Since(l.started)) < l.until.Load()
}

// RenewSoon asks the group at once, after an assignment for example.
func (l *Lease) RenewSoon() {
	select {
	case l.renewNow <- struct{}{}:
	default:
	}
}

// Keep renews the lease until the context ends.
//
// heartbeat asks the group whether it knows this member; nil means that it does.
func (l *Lease) Keep(ctx context.Context, interval time.Duration, heartbeat func(context.Context) error) {
	for ctx.Err() == nil {
		pause := interval
		if !l.renew(ctx, heartbeat) {
			pause = leaseRetry
		}
		select {
		case <-time.After(pause):
		case <-l.renewNow:
		case <-ctx.Done():
		}
	}
}

func (l *Lease) renew(ctx context.Context, heartbeat func(context.Context) error) bool {
	sent := time.Since(l.started)
	ctx, cancel := context.WithTimeout(ctx, l.duration)
	defer cancel()
	if heartbeat(ctx) != nil {
		return false
	}
	l.until.Store(int64(sent + l.duration))
	return true
}

// ErrNoMember means that the client has not joined its group yet.
var ErrNoMember = errors.New("the client is not a member of its group")

// Heartbeat asks the group of a client whether it knows this member.
func Heartbeat(ctx context.Context, client *kgo.Client, group string) error {
	member, generation := client.GroupMetadata()
	if member == "" || generation < 0 {
		return ErrNoMember
	}
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group, request.MemberID, request.Generation = group, member, generation
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	// A rebalance is no doubt: the group knows the member, and waits for it to join again.
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil && !errors.Is(err, kerr.RebalanceInProgress) {
		return err
	}
	return nil
}
