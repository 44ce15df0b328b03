package kafkabridge.protocol;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.util.Utf8;

/** The fields of a record that was read, checked one by one. */
final class Fields {
  private static final long FIRST_TIME = Instant.parse("0001-01-01T00:00:00Z").toEpochMilli();
  private static final long LAST_TIME = Instant.parse("9999-12-31T23:59:59.999Z").toEpochMilli();

  private final GenericRecord record;

  Fields(GenericRecord record) {
    this.record = record;
  }

  String text(String name) throws UnreadableMessageException {
    Object value = record.get(name);
    return value == null ? null : string(value);
  }

  String filledText(String name) throws UnreadableMessageException {
    String text = text(name);
    if (text.isEmpty()) {
      throw new UnreadableMessageException(name + " must not be empty");
    }
    return text;
  }

  private static String string(Object value) throws UnreadableMessageException {
    return value instanceof Utf8 utf8
        ? StrictJson.text(ByteBuffer.wrap(utf8.getBytes(), 0, utf8.getByteLength()))
        : value.toString();
  }

  int integer(String name, int least) throws UnreadableMessageException {
    return (int) number(name, least);
  }

  long number(String name, long least) throws UnreadableMessageException {
    long value = ((Number) record.get(name)).longValue();
    if (value < least) {
      throw new UnreadableMessageException(name + " must be at least " + least + ", not " + value);
    }
    return value;
  }

  Double real(String name) throws UnreadableMessageException {
    Double value = (Double) record.get(name);
    if (value != null && !Double.isFinite(value)) {
      throw new UnreadableMessageException(name + " must be finite");
    }
    return value;
  }

  boolean bool(String name) {
    return (Boolean) record.get(name);
  }

  Instant time(String name) throws UnreadableMessageException {
    Long value = (Long) record.get(name);
    if (value == null) {
      return null;
    }
    if (value < FIRST_TIME || value > LAST_TIME) {
      throw new UnreadableMessageException(name + " must be in the years 1 to 9999");
    }
    return Instant.ofEpochMilli(value);
  }

  <E extends Enum<E>> E symbol(String name, Class<E> type) {
    return Enum.valueOf(type, record.get(name).toString());
  }

  Content content(String name) throws UnreadableMessageException {
    ByteBuffer value = (ByteBuffer) record.get(name);
    String type = text(name + "_type");
    if (type == null) {
      if (value != null) {
        throw new UnreadableMessageException(name + " has no media type");
      }
      return null;
    }
    if (value == null) {
      return MediaTypes.isJson(type)
          ? new Content("null".getBytes(StandardCharsets.UTF_8), type)
          : null;
    }
    byte[] bytes = new byte[value.remaining()];
    value.duplicate().get(bytes);
    return new Content(bytes, type);
  }

  Map<String, String> map(String name) throws UnreadableMessageException {
    Map<String, String> map = new LinkedHashMap<>();
    for (var entry : ((Map<?, ?>) record.get(name)).entrySet()) {
      map.put(string(entry.getKey()), string(entry.getValue()));
    }
    return map;
  }

  /** A record in the record, or null. */
  Fields nested(String name) {
    GenericRecord value = (GenericRecord) record.get(name);
    return value == null ? null : new Fields(value);
  }

  static Schema schemaOf(Schema parent, String name) {
    return Schemas.present(parent.getField(name).schema());
  }
}
