package kafkabridge.protocol;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;

/**
 * Reads status events as a ledger has to: an invalid field beside an error does not hide the error.
 */
public final class LedgerEvents {
  private static final AvroFormat AVRO = new AvroFormat(Schemas.STATUS_EVENT);
  private static final JsonFormat JSON = new JsonFormat(Schemas.STATUS_EVENT);
  private static final StatusEventMapping MAPPING = new StatusEventMapping();
  private static final String NOBODY = "?";

  private LedgerEvents() {}

  /**
   * Read a status event. One with an error and an invalid field comes without its other fields.
   *
   * @throws UnreadableMessageException it is not a status event
   */
  public static StatusEvent decode(byte[] value) throws UnreadableMessageException {
    return switch (Encoding.of(value)) {
      case AVRO -> fromAvro(AVRO.read(value));
      case JSON -> fromJson(JsonFormat.object(value));
    };
  }

  private static StatusEvent fromAvro(GenericRecord event) throws UnreadableMessageException {
    try {
      return MAPPING.fromRecord(event);
    } catch (UnreadableMessageException invalid) {
      if (event.get("error") == null) {
        throw invalid;
      }
      return bare(event);
    }
  }

  private static StatusEvent fromJson(ObjectNode event) throws UnreadableMessageException {
    try {
      return MAPPING.fromRecord(JSON.read(event));
    } catch (UnreadableMessageException invalid) {
      if (!event.path("error").isObject()) {
        throw invalid;
      }
      ObjectNode valid = event.objectNode();
      for (String name : new String[] {"correlation_id", "state", "error"}) {
        if (event.has(name)) {
          valid.set(name, event.get(name));
        }
      }
      JsonNode delivery = event.path("delivery");
      if (delivery.isIntegralNumber() && delivery.canConvertToInt()) {
        valid.set("delivery", delivery);
      }
      valid.put("event_id", NOBODY).put("sequence", 0).put("occurred_at", 0);
      valid.put("worker_id", NOBODY);
      return bare(JSON.read(valid));
    }
  }

  private static StatusEvent bare(GenericRecord event) throws UnreadableMessageException {
    GenericRecord error = (GenericRecord) event.get("error");
    if (error.get("type").toString().isEmpty()) {
      error.put("type", "error");
    }
    GenericRecord valid = new GenericData.Record(Schemas.STATUS_EVENT);
    valid.put("correlation_id", event.get("correlation_id"));
    valid.put("state", event.get("state"));
    valid.put("error", error);
    valid.put("delivery", Math.max(1, (Integer) event.get("delivery")));
    valid.put("event_id", NOBODY);
    valid.put("sequence", 0L);
    valid.put("occurred_at", 0L);
    valid.put("worker_id", NOBODY);
    valid.put("attributes", Map.of());
    return MAPPING.fromRecord(valid);
  }
}
