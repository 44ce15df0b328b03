package runtime

// A queue has the jobs that wait for a slot. Interrupted jobs come before all others, and apart from that
// the order is that of arrival. A job type without free capacity does not block others.
type queue struct {
	byType map[string]*lanes
	turn   int
}

type lanes struct{ interrupted, others []waiting }

type waiting struct {
	job  *job
	turn int
}

func newQueue() *queue { return &queue{byType: map[string]*lanes{}} }

func (q *queue) add(j *job) {
	of := q.byType[j.request.JobType]
	if of == nil {
		of = &lanes{}
		q.byType[j.request.JobType] = of
	}
	q.turn++
	if j.history.wasBroken() {
		of.interrupted = append(of.interrupted, waiting{j, q.turn})
	} else {
		of.others = append(of.others, waiting{j, q.turn})
	}
}

// next removes and returns the job whose turn it is, among the job types that have capacity; nil if
// there is none.
func (q *queue) next(onlyInterrupted bool, hasCapacity func(jobType string) bool) *job {
	best := func(lane func(*lanes) *[]waiting) *job {
		var chosen *[]waiting
		for jobType, of := range q.byType {
			each := lane(of)
			dropOver(each)
			if len(*each) == 0 || !hasCapacity(jobType) {
				continue
			}
			if chosen == nil || (*each)[0].turn < (*chosen)[0].turn {
				chosen = each
			}
		}
		if chosen == nil {
			return nil
		}
		j := (*chosen)[0].job
		*chosen = (*chosen)[1:]
		return j
	}
	if j := best(func(of *lanes) *[]waiting { return &of.interrupted }); j != nil || onlyInterrupted {
		return j
	}
	return best(func(of *lanes) *[]waiting { return &of.others })
}

// dropOver removes jobs from the front that have ended while they waited.
func dropOver(lane *[]waiting) {
	for len(*lane) > 0 && (*lane)[0].job.phase != phaseQueued {
		*lane = (*lane)[1:]
	}
}
