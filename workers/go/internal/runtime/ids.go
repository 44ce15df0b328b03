package runtime

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"kafkabridge/internal/protocol"
)

// A jobID is a correlation id in 16 bytes: a ledger holds millions of them.
type jobID [16]byte

func idOf(key []byte) (id jobID) {
	if protocol.IsCorrelationID(key) {
		digits := make([]byte, 0, 32)
		for _, b := range key {
			if b != '-' {
				digits = append(digits, b)
			}
		}
		if _, err := hex.Decode(id[:], digits); err == nil {
			return id
		}
	}
	sum := sha256.Sum256(key)
	copy(id[:], sum[:])
	return id
}

// newEventID returns a version 4 UUID.
func newEventID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// recentIDs holds the last ids that were added.
type recentIDs struct {
	limit int
	set   map[jobID]struct{}
	ring  []jobID
	at    int
}

func newRecentIDs(limit int) *recentIDs {
	return &recentIDs{limit: limit, set: map[jobID]struct{}{}}
}

func (r *recentIDs) has(id jobID) bool {
	_, found := r.set[id]
	return found
}

func (r *recentIDs) add(id jobID) {
	if r.has(id) {
		return
	}
	r.set[id] = struct{}{}
	if len(r.ring) < r.limit {
		r.ring = append(r.ring, id)
		return
	}
	delete(r.set, r.ring[r.at])
	r.ring[r.at] = id
	r.at = (r.at + 1) % r.limit
}
