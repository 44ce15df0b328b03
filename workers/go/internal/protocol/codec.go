package protocol

import (
	"bytes"
	"errors"
	"fmt"
)

// Encoding is how a value is written.
type Encoding string

// The encodings that this package reads and writes.
const (
	EncodingAvro Encoding = "avro"
	EncodingJSON Encoding = "json"
)

// ContentType returns the value of the header content-type.
func (e Encoding) ContentType() string {
	if e == EncodingJSON {
		return MediaTypeJSON
	}
	return "application/vnd.apache.avro"
}

// ErrUnreadable is in the chain of each error about bytes that are not a message.
var ErrUnreadable = errors.New("unreadable message")

func unreadable(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUnreadable}, args...)...)
}

// Detect returns the encoding of a value, by its first bytes.
func Detect(value []byte) (Encoding, error) {
	switch {
	case len(value) == 0:
		return "", unreadable("the value has no bytes")
	case bytes.HasPrefix(value, avroMagic):
		return EncodingAvro, nil
	case value[0] == 0:
		return "", unreadable("the value is written with a schema registry, which is not supported: write Avro or JSON")
	case bytes.HasPrefix(bytes.TrimLeft(value, " \t\r\n"), []byte("{")):
		return EncodingJSON, nil
	}
	return "", unreadable("the value is neither Avro (C3 01) nor a JSON object")
}

// DecodeRequest reads a job request in any encoding. Its errors are [ErrUnreadable].
func DecodeRequest(value []byte) (*JobRequest, Encoding, error) {
	return decode(value, requestSchema, requestFromJSON, (*JobRequest).valid)
}

// DecodeEvent reads a status event in any encoding. Its errors are [ErrUnreadable].
//
// An invalid field beside an error does not hide the error: it is dropped.
func DecodeEvent(value []byte) (*StatusEvent, Encoding, error) {
	return decode(value, eventSchema, eventFromJSON, (*StatusEvent).valid)
}

// DecodeCommand reads a job command in any encoding. Its errors are [ErrUnreadable].
func DecodeCommand(value []byte) (*JobCommand, Encoding, error) {
	return decode(value, commandSchema, commandFromJSON, (*JobCommand).valid)
}

func decode[M any](
	value []byte, schema schema, fromJSON func(object) (*M, error), valid func(*M) error,
) (*M, Encoding, error) {
	encoding, err := Detect(value)
	if err != nil {
		return nil, "", err
	}
	message := new(M)
	if encoding == EncodingAvro {
		err = decodeAvro(value, schema, message)
	} else {
		var fields object
		if fields, err = parseObject(value); err == nil {
			message, err = fromJSON(fields)
		}
	}
	if err == nil {
		err = valid(message)
	}
	if err != nil {
		return nil, encoding, err
	}
	return message, encoding, nil
}

// EncodeEvent writes a status event.
func EncodeEvent(event *StatusEvent, encoding Encoding) ([]byte, error) {
	return encode(event, encoding, eventSchema, eventToJSON)
}

func encode[M any](message *M, encoding Encoding, schema schema, toJSON func(*M) (any, error)) ([]byte, error) {
	if encoding == EncodingJSON {
		return encodeJSON(message, toJSON)
	}
	return encodeAvro(message, schema)
}
