package runtime

// StopKind is why a handler is asked to stop.
type StopKind int

// The reasons. Only the first two are the job's own: the events of the job tell them.
const (
	StopCancelled StopKind = iota + 1
	StopDeadline
	StopReleased
	StopLost
)

// Stop is the cause of a job's context when the job must stop.
type Stop struct {
	Kind   StopKind
	Reason string // of a CANCEL, if it has one
}

// Error says why, for people.
func (s *Stop) Error() string {
	switch s.Kind {
	case StopCancelled:
		if s.Reason != "" {
			return "the job was cancelled: " + s.Reason
		}
		return "the job was cancelled"
	case StopDeadline:
		return "the deadline of the job has passed"
	case StopReleased:
		return "the worker gives the job back"
	}
	return "another worker has the job"
}

// Is tells whether both stops have the same kind.
func (s *Stop) Is(target error) bool {
	other, ok := target.(*Stop)
	return ok && s.Kind == other.Kind && other.Reason == ""
}

// attribute is the value of the attribute stop_requested; empty for stops that are not the job's own.
func (s *Stop) attribute() string {
	switch s.Kind {
	case StopCancelled:
		return "cancelled"
	case StopDeadline:
		return "deadline"
	}
	return ""
}
