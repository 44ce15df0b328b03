package protocol

import (
	"embed"

	"github.com/hamba/avro/v2"
)

// The schemas are copies of /schemas: Go embeds only files of its own module. A test compares them.
//
//go:embed schemas/*.avsc
var schemaFiles embed.FS

// A schema with the eight bytes that name it in the single-object encoding. They are constants because
// some libraries keep logical types in the fingerprint and compute another number.
type schema struct {
	avro        avro.Schema
	fingerprint [8]byte
}

var (
	requestSchema = newSchema("job_request", [8]byte{0xcb, 0xcc, 0x3b, 0xa4, 0x77, 0x73, 0x0f, 0xc6})
	eventSchema   = newSchema("status_event", [8]byte{0x78, 0xb1, 0xdb, 0x8f, 0x79, 0x35, 0x0a, 0x12})
	commandSchema = newSchema("job_command", [8]byte{0x86, 0x79, 0x18, 0xf6, 0xb8, 0x48, 0xf8, 0x95})
)

func newSchema(name string, fingerprint [8]byte) schema {
	text, err := schemaFiles.ReadFile("schemas/" + name + ".avsc")
	if err != nil {
		panic(err) // the file is embedded
	}
	// A cache of its own: two schemas define a record with the same name, Reference.
	parsed, err := avro.ParseBytesWithCache(text, "", &avro.SchemaCache{})
	if err != nil {
		panic(err) // the file is a constant
	}
	return schema{avro: parsed, fingerprint: fingerprint}
}
