package kafkabridge.protocol;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/** Avro's single-object encoding of one message type. */
final class AvroFormat {
  private static final int HEADER_BYTES = 10;

  private final Schema schema;
  private final byte[] header;

  AvroFormat(Schema schema) {
    this.schema = schema;
    this.header =
        ByteBuffer.allocate(HEADER_BYTES)
            .order(ByteOrder.LITTLE_ENDIAN)
            .put((byte) 0xC3)
            .put((byte) 0x01)
            .putLong(SchemaNormalization.parsingFingerprint64(schema))
            .array();
  }

  static boolean isHeader(byte[] value) {
    return value.length >= 2 && value[0] == (byte) 0xC3 && value[1] == 0x01;
  }

  byte[] write(GenericRecord message) {
    ByteArrayOutputStream output = new ByteArrayOutputStream();
    output.writeBytes(header);
    BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(output, null);
    try {
      new GenericDatumWriter<GenericRecord>(schema).write(message, encoder);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return output.toByteArray();
  }

  GenericRecord read(byte[] value) throws UnreadableMessageException {
    if (value.length < HEADER_BYTES) {
      throw new UnreadableMessageException("the Avro header is cut off");
    }
    if (!ByteBuffer.wrap(value, 0, HEADER_BYTES).equals(ByteBuffer.wrap(header))) {
      throw new UnreadableMessageException(
          "the fingerprint in the Avro header is not that of a " + schema.getName());
    }
    try {
      checkLengths(value);
      BinaryDecoder decoder = body(value);
      return new GenericDatumReader<GenericRecord>(schema).read(null, decoder);
    } catch (IOException | AvroRuntimeException | IndexOutOfBoundsException error) {
      throw new UnreadableMessageException(
          "the Avro body is not a " + schema.getName() + ": " + error, error);
    }
  }

  /**
   * Walk through the body without reading its texts: the reader allocates what a length claims,
   * before it finds that the bytes are not there.
   */
  private void checkLengths(byte[] value) throws IOException, UnreadableMessageException {
    BinaryDecoder decoder = body(value);
    LengthCheck.skip(schema, decoder, value.length);
    if (!decoder.isEnd()) {
      throw new UnreadableMessageException("bytes follow the Avro body");
    }
  }

  private static BinaryDecoder body(byte[] value) {
    return DecoderFactory.get()
        .binaryDecoder(value, HEADER_BYTES, value.length - HEADER_BYTES, null);
  }
}
