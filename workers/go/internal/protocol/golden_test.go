package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const (
	repositorySchemas = "../../../../schemas"
	golden            = repositorySchemas + "/golden/v1"
)

type goldenIndex struct {
	Cases []struct{ Name, Message, Avro, JSON string }
	Also  []struct {
		File   string
		SameAs string `json:"same_as"`
	} `json:"also_readable"`
	Unreadable []struct{ File, Message string }
}

func readIndex(t *testing.T) (index goldenIndex) {
	t.Helper()
	if err := json.Unmarshal(read(t, golden+"/cases.json"), &index); err != nil {
		t.Fatal(err)
	}
	return index
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decodeAs(message string, value []byte) (any, error) {
	switch message {
	case "JobRequest":
		request, _, err := DecodeRequest(value)
		return request, err
	case "StatusEvent":
		event, _, err := DecodeEvent(value)
		return event, err
	default:
		command, _, err := DecodeCommand(value)
		return command, err
	}
}

func mustDecode(t *testing.T, message, file string) any {
	t.Helper()
	decoded, err := decodeAs(message, read(t, filepath.Join(golden, file)))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return decoded
}

// same compares messages; inlined JSON is compared as values, because white space does not count.
func same(t *testing.T, one, other any) bool {
	t.Helper()
	return reflect.DeepEqual(normal(t, one), normal(t, other))
}

func normal(t *testing.T, message any) any {
	t.Helper()
	switch m := message.(type) {
	case *JobRequest:
		c := *m
		c.Payload = compact(c.Payload, c.PayloadType)
		return c
	case *StatusEvent:
		c := *m
		c.Result = compact(c.Result, c.ResultType)
		return c
	}
	return message
}

func compact(data []byte, mediaType *string) []byte {
	if mediaType == nil || !IsJSON(*mediaType) {
		return data
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return data
	}
	text, _ := json.Marshal(value)
	return text
}

func TestEmbeddedSchemasEqualThoseOfTheRepository(t *testing.T) {
	files, err := filepath.Glob(repositorySchemas + "/*.avsc")
	if err != nil || len(files) == 0 {
		t.Fatalf("no schemas found: %v", err)
	}
	for _, file := range files {
		embedded, err := schemaFiles.ReadFile("schemas/" + filepath.Base(file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(embedded, read(t, file)) {
			t.Errorf("schemas/%s differs from %s: copy it", filepath.Base(file), file)
		}
	}
}

func TestBothEncodingsOfAGoldenMessageAreTheSame(t *testing.T) {
	for _, each := range readIndex(t).Cases {
		avro, json := mustDecode(t, each.Message, each.Avro), mustDecode(t, each.Message, each.JSON)
		if !same(t, avro, json) {
			t.Errorf("%s:\navro %+v\njson %+v", each.Name, avro, json)
		}
	}
}

func TestEventsAreWrittenAsTheGoldenFiles(t *testing.T) {
	for _, each := range readIndex(t).Cases {
		if each.Message != "StatusEvent" {
			continue
		}
		event := mustDecode(t, each.Message, each.Avro).(*StatusEvent)
		avro, err := EncodeEvent(event, EncodingAvro)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(avro, read(t, filepath.Join(golden, each.Avro))) {
			t.Errorf("%s: the bytes in Avro differ", each.Name)
		}
		text, err := EncodeEvent(event, EncodingJSON)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := DecodeEvent(text)
		if err != nil || !same(t, event, again) {
			t.Errorf("%s: in JSON %s: %v", each.Name, text, err)
		}
	}
}

func TestOtherFormsAreRead(t *testing.T) {
	index := readIndex(t)
	kinds := map[string]string{}
	for _, each := range index.Cases {
		kinds[each.Name] = each.Message
	}
	for _, each := range index.Also {
		kind := kinds[each.SameAs]
		if got, want := mustDecode(t, kind, each.File), mustDecode(t, kind, each.SameAs+".avro"); !same(t, got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", each.File, got, want)
		}
	}
}

func TestUnreadableBytesAreAnError(t *testing.T) {
	for _, each := range readIndex(t).Unreadable {
		decoded, err := decodeAs(each.Message, read(t, filepath.Join(golden, each.File)))
		if !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: got %+v, %v", each.File, decoded, err)
		}
	}
}

func TestWhatEncodingJSONWouldAcceptIsAnError(t *testing.T) {
	request := `{"correlation_id": "a", "attempt": 1, "job_type": "t", "response_topic": "r", "created_at": 1,
		"heartbeat_interval_ms": 0, "payload_type": "%T", "payload": %P}`
	for _, each := range []struct{ name, mediaType, payload string }{
		{"half a surrogate pair", MediaTypeJSON, `"\ud83d"`},
		{"the second half alone", MediaTypeJSON, `"\ude00"`},
		{"a number too large for a double", MediaTypeJSON, `1e999`},
		{"base64 with a line break", "text/plain", `"YWJj\nZGVm"`},
		{"base64 without padding", "text/plain", `"YQ"`},
	} {
		text := strings.NewReplacer("%T", each.mediaType, "%P", each.payload).Replace(request)
		if _, _, err := DecodeRequest([]byte(text)); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s is read: %v", each.name, err)
		}
	}
}

func TestFieldNamesAreComparedAsTheyAre(t *testing.T) {
	text := `{"correlation_id": "a", "attempt": 1, "JOB_TYPE": "t", "response_topic": "r", "created_at": 1,
		"heartbeat_interval_ms": 0}`
	if _, _, err := DecodeRequest([]byte(text)); err == nil {
		t.Error("JOB_TYPE is read as job_type")
	}
}

func TestAnInvalidFieldBesideAnErrorDoesNotHideIt(t *testing.T) {
	text := `{"correlation_id": "a", "event_id": "", "sequence": -1, "state": "FAILED", "occurred_at": 1e99,
		"worker_id": 7, "progress": {"completed": "x"}, "result": "no type",
		"error": {"type": "", "message": "m", "retryable": true}}`
	event, _, err := DecodeEvent([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if event.State != StateFailed || event.Error == nil || event.Error.Type != "error" {
		t.Errorf("got %+v", event)
	}
}

func TestALengthThatIsOnlyClaimedAllocatesNothingOfItsSize(t *testing.T) {
	value := append([]byte{0xC3, 0x01}, requestSchema.fingerprint[:]...)
	value = append(value, 0x80, 0x80, 0x80, 0x80, 0x08) // a text of 1 GiB
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if _, _, err := DecodeRequest(value); err == nil {
				b.Fatal("read")
			}
		}
	})
	if result.AllocedBytesPerOp() > 64<<10 {
		t.Errorf("%d bytes are allocated", result.AllocedBytesPerOp())
	}
}

func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob(golden + "/*")
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(_ *testing.T, value []byte) {
		_, _, _ = DecodeRequest(value)
		_, _, _ = DecodeEvent(value)
		_, _, _ = DecodeCommand(value)
	})
}
