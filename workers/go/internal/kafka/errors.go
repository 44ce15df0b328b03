package kafka

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
)

// IsUnusable tells whether a topic cannot be used, and waiting does not help: it does not exist, its name
// is not valid, or access is denied.
func IsUnusable(err error) bool {
	for _, each := range []*kerr.Error{
		kerr.UnknownTopicOrPartition,
		kerr.UnknownTopicID,
		kerr.InvalidTopicException,
		kerr.TopicAuthorizationFailed,
	} {
		if errors.Is(err, each) {
			return true
		}
	}
	return false
}
