package kafkabridge

import (
	"strings"
	"testing"
	"time"
)

func TestSettingsComeFromTheEnvironment(t *testing.T) {
	settings, err := settingsFrom(environ{
		"KAFKA_BRIDGE_BOOTSTRAP_SERVERS":          "a:9092, b:9092",
		"KAFKA_BRIDGE_GROUP_ID":                   "g",
		"KAFKA_BRIDGE_CONCURRENCY":                "3",
		"KAFKA_BRIDGE_GRACE_SECONDS":              "0",
		"KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS":   "6000",
		"KAFKA_BRIDGE_KAFKA_MAX_POLL_INTERVAL_MS": "7000",
	}.get)
	if err != nil {
		t.Fatal(err)
	}
	settings, err = settings.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if len(settings.Brokers) != 2 || settings.Brokers[1] != "b:9092" || settings.Concurrency != 3 {
		t.Errorf("got %+v", settings)
	}
	if settings.Grace != 0 || settings.SessionTimeout != 6*time.Second || settings.RebalanceTimeout != 7*time.Second {
		t.Errorf("got %+v", settings)
	}
	if settings.RequestTopic != "jobs.requests" || settings.HeartbeatInterval != 600*time.Millisecond {
		t.Errorf("got %+v", settings)
	}
}

func TestWrongSettingsSayWhatToDo(t *testing.T) {
	_, err := settingsFrom(environ{"KAFKA_BRIDGE_CONCURRENCY": "many", "KAFKA_BRIDGE_GRACE_SECONDS": "-1"}.get)
	wantText(t, err, "KAFKA_BRIDGE_CONCURRENCY", "KAFKA_BRIDGE_GRACE_SECONDS")
	_, err = New(Settings{})
	wantText(t, err, "KAFKA_BRIDGE_BOOTSTRAP_SERVERS", "KAFKA_BRIDGE_GROUP_ID")
}

func TestAWorkerWithoutHandlersDoesNotRun(t *testing.T) {
	worker, err := New(Settings{Brokers: []string{"127.0.0.1:9"}, Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, worker.Run(t.Context()), "kafkabridge.Handle")
}

type environ map[string]string

func (e environ) get(name string) string { return e[name] }

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not name %s", err, part)
		}
	}
}
