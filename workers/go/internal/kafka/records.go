package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"kafkabridge/internal/protocol"
)

// Headers returns the headers of a record.
func Headers(record *kgo.Record) []protocol.Header {
	headers := make([]protocol.Header, len(record.Headers))
	for i, each := range record.Headers {
		headers[i] = protocol.Header(each)
	}
	return headers
}

// NewRecord returns a record to publish.
func NewRecord(topic string, key, value []byte, headers []protocol.Header) *kgo.Record {
	record := &kgo.Record{Topic: topic, Key: key, Value: value, Headers: make([]kgo.RecordHeader, len(headers))}
	for i, each := range headers {
		record.Headers[i] = kgo.RecordHeader(each)
	}
	return record
}

// OriginOf returns where a record was read.
func OriginOf(record *kgo.Record) protocol.Origin {
	return protocol.Origin{
		Topic:       record.Topic,
		Partition:   record.Partition,
		Offset:      record.Offset,
		TimestampMS: record.Timestamp.UnixMilli(),
	}
}
