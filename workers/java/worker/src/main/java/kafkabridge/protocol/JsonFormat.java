package kafkabridge.protocol;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;

/** The JSON encoding of one message type: an object with the fields of its Avro schema. */
final class JsonFormat {
  private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
  private static final String UNKNOWN = "UNKNOWN";

  private final Schema schema;

  JsonFormat(Schema schema) {
    this.schema = schema;
  }

  static ObjectNode object(byte[] value) throws UnreadableMessageException {
    if (StrictJson.read(value) instanceof ObjectNode object) {
      return object;
    }
    throw new UnreadableMessageException("not a JSON object");
  }

  GenericRecord read(ObjectNode message) throws UnreadableMessageException {
    return record(message, schema);
  }

  private static GenericRecord record(JsonNode value, Schema schema)
      throws UnreadableMessageException {
    require(value.isObject(), schema.getName(), "an object", value);
    GenericRecord record = new GenericData.Record(schema);
    for (Schema.Field field : schema.getFields()) {
      record.put(field.pos(), field(value, field));
    }
    return record;
  }

  private static Object field(JsonNode parent, Schema.Field field)
      throws UnreadableMessageException {
    String name = field.name();
    JsonNode value = parent.get(name);
    Schema schema = Schemas.present(field.schema());
    if (schema.getType() == Schema.Type.BYTES) {
      return content(name, value, parent.get(name + "_type"));
    }
    if (value == null) {
      if (!field.hasDefaultValue()) {
        throw new UnreadableMessageException(name + " is missing");
      }
      return GenericData.get().getDefaultValue(field);
    }
    if (value.isNull() && field.schema().isUnion()) {
      return null;
    }
    return present(name, value, schema);
  }

  /** A payload or result: inlined if its media type is JSON, base64 otherwise. */
  private static ByteBuffer content(String name, JsonNode value, JsonNode type)
      throws UnreadableMessageException {
    boolean isAbsent = value == null || value.isNull();
    if (type == null || type.isNull()) {
      require(isAbsent, name, "null, because it has no media type", value);
      return null;
    }
    require(type.isTextual(), name + "_type", "text", type);
    if (MediaTypes.isJson(type.textValue())) {
      return ByteBuffer.wrap(StrictJson.write(isAbsent ? NODES.nullNode() : value));
    }
    if (isAbsent) {
      return null;
    }
    require(value.isTextual(), name, "text in base64", value);
    try {
      return ByteBuffer.wrap(Base64.getDecoder().decode(value.textValue()));
    } catch (IllegalArgumentException error) {
      throw new UnreadableMessageException(name + " is not base64", error);
    }
  }

  private static Object present(String name, JsonNode value, Schema schema)
      throws UnreadableMessageException {
    return switch (schema.getType()) {
      case RECORD -> record(value, schema);
      case MAP -> map(name, value, schema.getValueType());
      case ENUM -> {
        require(value.isTextual(), name, "text", value);
        boolean isKnown = schema.hasEnumSymbol(value.textValue());
        yield new GenericData.EnumSymbol(schema, isKnown ? value.textValue() : UNKNOWN);
      }
      case STRING -> {
        require(value.isTextual(), name, "text", value);
        yield value.textValue();
      }
      case LONG -> {
        require(value.isIntegralNumber() && value.canConvertToLong(), name, "a long", value);
        yield value.longValue();
      }
      case INT -> {
        require(value.isIntegralNumber() && value.canConvertToInt(), name, "an int", value);
        yield value.intValue();
      }
      case DOUBLE -> {
        require(value.isNumber() && Double.isFinite(value.doubleValue()), name, "a number", value);
        yield value.doubleValue();
      }
      case BOOLEAN -> {
        require(value.isBoolean(), name, "true or false", value);
        yield value.booleanValue();
      }
      default -> throw new IllegalStateException("no schema of the protocol has " + schema);
    };
  }

  private static Map<String, Object> map(String name, JsonNode value, Schema schema)
      throws UnreadableMessageException {
    require(value.isObject(), name, "an object", value);
    Map<String, Object> map = new LinkedHashMap<>();
    for (var entry : value.properties()) {
      map.put(entry.getKey(), present(name, entry.getValue(), schema));
    }
    return map;
  }

  private static void require(boolean isMet, String name, String wanted, JsonNode value)
      throws UnreadableMessageException {
    if (!isMet) {
      throw new UnreadableMessageException(
          name + " must be " + wanted + ", not " + value.getNodeType());
    }
  }

  /** Write a message; fields that are null are omitted. */
  ObjectNode write(GenericRecord message) throws UnreadableMessageException {
    ObjectNode object = NODES.objectNode();
    for (Schema.Field field : message.getSchema().getFields()) {
      Object value = message.get(field.pos());
      if (value != null) {
        object.set(field.name(), node(value, message.get(typeField(message, field))));
      }
    }
    return object;
  }

  /** The field with the media type of a field, or the field itself if it has none. */
  private static String typeField(GenericRecord message, Schema.Field field) {
    String name = field.name() + "_type";
    return message.getSchema().getField(name) == null ? field.name() : name;
  }

  private JsonNode node(Object value, Object mediaType) throws UnreadableMessageException {
    if (value instanceof GenericRecord record) {
      return write(record);
    }
    if (value instanceof Map<?, ?> map) {
      ObjectNode object = NODES.objectNode();
      map.forEach((key, each) -> object.put(key.toString(), each.toString()));
      return object;
    }
    if (value instanceof ByteBuffer bytes) {
      byte[] content = new byte[bytes.remaining()];
      bytes.duplicate().get(content);
      return MediaTypes.isJson(mediaType.toString())
          ? StrictJson.read(content)
          : NODES.textNode(Base64.getEncoder().encodeToString(content));
    }
    if (value instanceof Long number) {
      return NODES.numberNode(number);
    }
    if (value instanceof Integer number) {
      return NODES.numberNode(number);
    }
    if (value instanceof Double number) {
      return NODES.numberNode(number);
    }
    if (value instanceof Boolean bool) {
      return NODES.booleanNode(bool);
    }
    return NODES.textNode(value.toString());
  }
}
