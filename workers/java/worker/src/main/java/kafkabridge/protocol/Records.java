package kafkabridge.protocol;

import java.nio.ByteBuffer;
import java.time.Instant;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;

/** Fills Avro records, by the names of their fields. */
final class Records {
  private final GenericRecord record;

  private Records(Schema schema) {
    this.record = new GenericData.Record(schema);
  }

  static Records of(Schema schema) {
    return new Records(schema);
  }

  Records put(String name, Object value) {
    record.put(name, value);
    return this;
  }

  Records put(String name, Instant time) {
    return put(name, time == null ? null : (Object) time.toEpochMilli());
  }

  Records put(String name, Enum<?> symbol) {
    Schema schema = record.getSchema().getField(name).schema();
    return put(name, (Object) new GenericData.EnumSymbol(schema, symbol.name()));
  }

  Records put(String name, Content content) {
    put(name, content == null ? null : (Object) ByteBuffer.wrap(content.bytes()));
    return put(name + "_type", (Object) (content == null ? null : content.mediaType()));
  }

  Records put(String name, Reference reference) {
    if (reference == null) {
      return put(name, (Object) null);
    }
    return put(
        name,
        (Object)
            nested(name)
                .put("uri", (Object) reference.uri())
                .put("sha256", (Object) reference.sha256())
                .put("size", (Object) reference.size())
                .record());
  }

  /** A new record for a field. */
  Records nested(String name) {
    return of(Fields.schemaOf(record.getSchema(), name));
  }

  GenericRecord record() {
    return record;
  }
}
