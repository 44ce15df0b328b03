package kafkabridge

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Settings is how a worker reaches Kafka, and how much it does at the same time. A zero value has the
// default of its field.
type Settings struct {
	Brokers []string // addresses such as "kafka:9092"; needed
	Group   string   // the consumer group, one for each service; needed

	RequestTopic    string // default "jobs.requests"
	ControlTopic    string // default "jobs.control"
	DeadLetterTopic string // default "jobs.dead-letters"

	Concurrency   int           // jobs that run at the same time; default 4
	Grace         time.Duration // running jobs may continue for so long when the worker stops; default 30 s, negative: none
	MaxDeliveries int           // a job whose worker died so often fails; default 5
	WorkerID      string        // default: the host's name and the process id

	SessionTimeout    time.Duration // others have the jobs of a dead worker after this; default 30 s
	HeartbeatInterval time.Duration // of the group; default a tenth of the session, at least 0.2 s
	RebalanceTimeout  time.Duration // how long a member may take to join a rebalance; default 60 s

	Kafka  []kgo.Opt    // more options of all clients: kgo.DialTLS(), kgo.SASL(…)
	Logger *slog.Logger // default slog.Default()
}

// SettingsFromEnv reads the variables that kafka-bridge's workers in other languages read, too:
//
//	KAFKA_BRIDGE_BOOTSTRAP_SERVERS        Brokers, with commas
//	KAFKA_BRIDGE_GROUP_ID                 Group
//	KAFKA_BRIDGE_REQUEST_TOPIC            RequestTopic
//	KAFKA_BRIDGE_CONTROL_TOPIC            ControlTopic
//	KAFKA_BRIDGE_DEAD_LETTER_TOPIC        DeadLetterTopic
//	KAFKA_BRIDGE_CONCURRENCY              Concurrency
//	KAFKA_BRIDGE_GRACE_SECONDS            Grace
//	KAFKA_BRIDGE_MAX_DELIVERIES           MaxDeliveries
//	KAFKA_BRIDGE_WORKER_ID                WorkerID
//	KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS     SessionTimeout
//	KAFKA_BRIDGE_KAFKA_HEARTBEAT_INTERVAL_MS  HeartbeatInterval
//	KAFKA_BRIDGE_KAFKA_MAX_POLL_INTERVAL_MS   RebalanceTimeout
//
// Credentials are KAFKA_BRIDGE_KAFKA_SECURITY_PROTOCOL, …_SASL_MECHANISM, …_SASL_USERNAME, …_SASL_PASSWORD,
// …_SSL_CA_LOCATION, …_SSL_CERTIFICATE_LOCATION and …_SSL_KEY_LOCATION. What is not set keeps its default.
func SettingsFromEnv() (Settings, error) { return settingsFrom(os.Getenv) }

func settingsFrom(getenv func(string) string) (Settings, error) {
	env := environment{getenv: getenv}
	settings := Settings{
		Group:             getenv("KAFKA_BRIDGE_GROUP_ID"),
		RequestTopic:      getenv("KAFKA_BRIDGE_REQUEST_TOPIC"),
		ControlTopic:      getenv("KAFKA_BRIDGE_CONTROL_TOPIC"),
		DeadLetterTopic:   getenv("KAFKA_BRIDGE_DEAD_LETTER_TOPIC"),
		Concurrency:       env.integer("KAFKA_BRIDGE_CONCURRENCY"),
		Grace:             env.duration("KAFKA_BRIDGE_GRACE_SECONDS", time.Second),
		MaxDeliveries:     env.integer("KAFKA_BRIDGE_MAX_DELIVERIES"),
		WorkerID:          getenv("KAFKA_BRIDGE_WORKER_ID"),
		SessionTimeout:    env.duration("KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS", time.Millisecond),
		HeartbeatInterval: env.duration("KAFKA_BRIDGE_KAFKA_HEARTBEAT_INTERVAL_MS", time.Millisecond),
		RebalanceTimeout:  env.duration("KAFKA_BRIDGE_KAFKA_MAX_POLL_INTERVAL_MS", time.Millisecond),
	}
	for each := range strings.SplitSeq(getenv("KAFKA_BRIDGE_BOOTSTRAP_SERVERS"), ",") {
		if each = strings.TrimSpace(each); each != "" {
			settings.Brokers = append(settings.Brokers, each)
		}
	}
	if settings.Grace == 0 && getenv("KAFKA_BRIDGE_GRACE_SECONDS") != "" {
		settings.Grace = -1 // none, and not the default
	}
	var err error
	settings.Kafka, err = securityFrom(getenv)
	return settings, errors.Join(append(env.errs, err)...)
}

type environment struct {
	getenv func(string) string
	errs   []error
}

func (e *environment) integer(name string) int {
	text := e.getenv(name)
	if text == "" {
		return 0
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < 1 {
		e.errs = append(e.errs, fmt.Errorf("%s=%q is not a whole number from 1", name, text))
	}
	return value
}

func (e *environment) duration(name string, unit time.Duration) time.Duration {
	text := e.getenv(name)
	if text == "" {
		return 0
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || !(value >= 0 && value < 1e9) {
		e.errs = append(e.errs, fmt.Errorf("%s=%q is not a number from 0", name, text))
		return 0
	}
	return time.Duration(value * float64(unit))
}

// withDefaults completes settings, and checks them.
func (s Settings) withDefaults() (Settings, error) {
	var errs []error
	if len(s.Brokers) == 0 {
		errs = append(errs, errors.New("no brokers: set Settings.Brokers, or KAFKA_BRIDGE_BOOTSTRAP_SERVERS"))
	}
	if s.Group == "" {
		errs = append(errs, errors.New("no consumer group: set Settings.Group, or KAFKA_BRIDGE_GROUP_ID"))
	}
	for name, value := range map[string]int{"Concurrency": s.Concurrency, "MaxDeliveries": s.MaxDeliveries} {
		if value < 0 {
			errs = append(errs, fmt.Errorf("%s is %d in the settings: set 1 or more", name, value))
		}
	}
	setDefault(&s.RequestTopic, "jobs.requests")
	setDefault(&s.ControlTopic, "jobs.control")
	setDefault(&s.DeadLetterTopic, "jobs.dead-letters")
	setDefault(&s.Concurrency, 4)
	setDefault(&s.Grace, 30*time.Second)
	s.Grace = max(0, s.Grace)
	setDefault(&s.MaxDeliveries, 5)
	setDefault(&s.WorkerID, defaultWorkerID())
	setDefault(&s.SessionTimeout, 30*time.Second)
	setDefault(&s.HeartbeatInterval, max(s.SessionTimeout/10, 200*time.Millisecond))
	setDefault(&s.RebalanceTimeout, 60*time.Second)
	setDefault(&s.Logger, slog.Default())
	return s, errors.Join(errs...)
}

func setDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

func defaultWorkerID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}
