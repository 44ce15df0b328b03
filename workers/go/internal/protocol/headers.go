package protocol

import (
	"encoding/binary"
	"strings"
)

// Header is a header of a Kafka record.
type Header struct {
	Key   string
	Value []byte
}

// The headers that a worker reads or writes.
const (
	HeaderContentType   = "content-type"
	HeaderCorrelationID = "kafka_correlationId"
	HeaderReplyTopic    = "kafka_replyTopic"
	HeaderTraceparent   = "traceparent"
	HeaderTracestate    = "tracestate"

	deadLetterPrefix = "kafka_dlt-"
)

const (
	maxTraceparentBytes = 256
	maxTracestateBytes  = 2048
)

// EventHeaders returns the headers of all status events of a job.
//
// The trace of the request is passed on: traceparent, and tracestate only together with it.
func EventHeaders(correlationID string, encoding Encoding, request []Header) []Header {
	headers := []Header{
		{HeaderContentType, []byte(encoding.ContentType())},
		{HeaderCorrelationID, []byte(correlationID)},
	}
	parent := LastHeader(request, HeaderTraceparent)
	if len(parent) == 0 || len(parent) > maxTraceparentBytes {
		return headers
	}
	headers = append(headers, Header{HeaderTraceparent, parent})
	if state := LastHeader(request, HeaderTracestate); len(state) > 0 && len(state) <= maxTracestateBytes {
		headers = append(headers, Header{HeaderTracestate, state})
	}
	return headers
}

// LastHeader returns the value of the last header with this name, or nil.
func LastHeader(headers []Header, name string) []byte {
	for i := len(headers) - 1; i >= 0; i-- {
		if headers[i].Key == name {
			return headers[i].Value
		}
	}
	return nil
}

// Origin is where a record was read.
type Origin struct {
	Topic       string
	Partition   int32
	Offset      int64
	TimestampMS int64
}

// DeadLetterHeaders returns the headers of a dead letter: those of the original record, and why it is one.
//
// kind is the error's class, for programs; text is for people. Both become one harmless line.
func DeadLetterHeaders(original []Header, at Origin, kind, text string) []Header {
	headers := make([]Header, 0, len(original)+6)
	for _, each := range original {
		if !strings.HasPrefix(each.Key, deadLetterPrefix) {
			headers = append(headers, each)
		}
	}
	number := func(name string, value uint64, size int) Header {
		bytes := binary.BigEndian.AppendUint64(nil, value)
		return Header{deadLetterPrefix + name, bytes[8-size:]}
	}
	return append(headers,
		Header{deadLetterPrefix + "original-topic", []byte(at.Topic)},
		number("original-partition", uint64(at.Partition), 4),
		number("original-offset", uint64(at.Offset), 8),
		number("original-timestamp", uint64(at.TimestampMS), 8),
		Header{deadLetterPrefix + "exception-fqcn", []byte(kind)},
		Header{deadLetterPrefix + "exception-message", []byte(OneLine(text, MaxMessageBytes))},
	)
}
