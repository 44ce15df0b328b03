package protocol

import (
	"bytes"
	"fmt"
	"math"

	"github.com/hamba/avro/v2"
)

var avroMagic = []byte{0xC3, 0x01}

const avroHeaderBytes = 10

// The library allocates what a length claims, up to a limit that is part of its configuration. So there
// are several configurations, and a message is read with the smallest limit that it fits into.
var avroReaders = func() (readers []avro.API) {
	for size := 4 << 10; size > 0 && size <= math.MaxInt32/2; size <<= 4 {
		readers = append(readers, avro.Config{MaxByteSliceSize: size}.Freeze())
	}
	return append(readers, avro.Config{MaxByteSliceSize: math.MaxInt32}.Freeze())
}()

func avroReaderFor(size int) avro.API {
	limit := 4 << 10
	for _, each := range avroReaders {
		if size <= limit {
			return each
		}
		limit <<= 4
	}
	return avroReaders[len(avroReaders)-1]
}

// decodeAvro reads a value in Avro's single-object encoding. Nothing may follow the body.
func decodeAvro(value []byte, schema schema, message any) error {
	if len(value) < avroHeaderBytes {
		return unreadable("the value ends in its Avro header")
	}
	if found := value[len(avroMagic):avroHeaderBytes]; !bytes.Equal(found, schema.fingerprint[:]) {
		return unreadable("the schema fingerprint is %x, expected %x", found, schema.fingerprint)
	}
	body := value[avroHeaderBytes:]
	reader := avro.NewReader(nil, 0, avro.WithReaderConfig(avroReaderFor(len(body)))).Reset(body)
	reader.ReadVal(schema.avro, message)
	if reader.Error != nil {
		return unreadable("%v", reader.Error)
	}
	if reader.Peek(); reader.Error == nil {
		return unreadable("bytes follow the Avro body")
	}
	return nil
}

// avroWriter writes maps in plain blocks, as most libraries do.
var avroWriter = avro.Config{DisableBlockSizeHeader: true}.Freeze()

func encodeAvro(message any, schema schema) ([]byte, error) {
	body, err := avroWriter.Marshal(schema.avro, message)
	if err != nil {
		return nil, fmt.Errorf("encode as Avro: %w", err)
	}
	value := make([]byte, 0, avroHeaderBytes+len(body))
	value = append(append(value, avroMagic...), schema.fingerprint[:]...)
	return append(value, body...), nil
}
