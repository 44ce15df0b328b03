package main

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// unhurried is a balancer whose leader waits a moment before it sends the plan. The embedded broker of the
// kit refuses members whose SyncGroup arrives after that of the leader: they would have to join again, and
// again, for a session each. Kafka does not refuse them.
type unhurried struct{ kgo.GroupBalancer }

func (u unhurried) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	time.Sleep(100 * time.Millisecond)
	return u.GroupBalancer.MemberBalancer(members)
}
