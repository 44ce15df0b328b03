package runtime

// slots counts the jobs that are accepted or run.
type slots struct {
	limit    int
	used     int
	handlers map[string]*Handler
	byType   map[string]int
}

func newSlots(limit int, handlers map[string]*Handler) *slots {
	return &slots{limit: limit, handlers: handlers, byType: map[string]int{}}
}

func (s *slots) hasFree() bool { return s.used < s.limit }

func (s *slots) hasFreeFor(jobType string) bool {
	limit := s.handlers[jobType].Concurrency
	return limit == 0 || s.byType[jobType] < limit
}

func (s *slots) take(j *job) {
	j.hasSlot = true
	s.used++
	s.byType[j.request.JobType]++
}

func (s *slots) free(j *job) {
	if j.hasSlot {
		j.hasSlot = false
		s.used--
		s.byType[j.request.JobType]--
	}
}
