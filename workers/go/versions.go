package kafkabridge

import (
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// versions returns the versions of Kafka's requests that are used: the newest ones, but for groups those of
// Kafka 2.3. The embedded broker of kafka-bridge reads or answers newer ones in a form that the client does
// not understand. Every broker knows the older ones, too, and a worker needs nothing of the newer ones.
func versions() *kversion.Versions {
	newest, older := kversion.Stable(), kversion.V2_3_0()
	for _, each := range []kmsg.Key{
		kmsg.ApiVersions,
		kmsg.FindCoordinator,
		kmsg.JoinGroup,
		kmsg.SyncGroup,
		kmsg.Heartbeat,
		kmsg.LeaveGroup,
		kmsg.OffsetCommit,
		kmsg.OffsetFetch,
	} {
		if version, known := older.LookupMaxKeyVersion(int16(each)); known {
			newest.SetMaxKeyVersion(int16(each), version)
		}
	}
	return newest
}
