package kafkabridge.protocol;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.util.HexFormat;
import java.util.Map;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** The golden files of the protocol: {@code schemas/golden/README.md}. */
class GoldenFilesTest {
  private static final Map<String, MessageCodec<?>> CODECS =
      Map.of(
          "JobRequest", MessageCodec.JOB_REQUEST,
          "StatusEvent", MessageCodec.STATUS_EVENT,
          "JobCommand", MessageCodec.JOB_COMMAND);

  private final JsonNode index = StrictJson.read(file("cases.json"));

  GoldenFilesTest() throws Exception {}

  private static byte[] file(String name) {
    try (InputStream file = GoldenFilesTest.class.getResourceAsStream("/golden/v1/" + name)) {
      return file.readAllBytes();
    } catch (IOException error) {
      throw new java.io.UncheckedIOException(error);
    }
  }

  private Stream<JsonNode> entries(String list) {
    return StreamSupport.stream(index.get(list).spliterator(), false);
  }

  private static <T> MessageCodec<T> codec(String message) {
    @SuppressWarnings("unchecked") // the messages are compared with each other, whatever they are
    MessageCodec<T> codec = (MessageCodec<T>) CODECS.get(message);
    return codec;
  }

  @TestFactory
  Stream<DynamicTest> fingerprintsAreThoseOfTheSchemas() {
    return index.get("schemas").properties().stream()
        .map(
            each ->
                dynamicTest(
                    each.getKey(),
                    () -> {
                      JsonNode found =
                          entries("cases")
                              .filter(c -> c.get("message").textValue().equals(each.getKey()))
                              .findFirst()
                              .orElseThrow();
                      byte[] value = file(found.get("avro").textValue());
                      Object message = codec(each.getKey()).decode(value);
                      byte[] written = codec(each.getKey()).encode(message, Encoding.AVRO);
                      assertEquals(
                          each.getValue().get("fingerprint").textValue(),
                          HexFormat.of().formatHex(written, 2, 10));
                    }));
  }

  @TestFactory
  Stream<DynamicTest> bothEncodingsGiveTheSameMessageAndAreWrittenAgain() {
    return entries("cases")
        .map(each -> dynamicTest(each.get("name").textValue(), () -> checkCase(each)));
  }

  private static void checkCase(JsonNode entry) throws Exception {
    MessageCodec<Object> codec = codec(entry.get("message").textValue());
    byte[] avro = file(entry.get("avro").textValue());
    byte[] json = file(entry.get("json").textValue());
    Object message = codec.decode(avro);
    assertEquals(message, codec.decode(json));
    assertArrayEquals(avro, codec.encode(message, Encoding.AVRO));
    assertEquals(
        withoutDefaults(StrictJson.read(json)),
        withoutDefaults(StrictJson.read(codec.encode(message, Encoding.JSON))));
  }

  /** A message without the fields that have their default, in nested records, too. */
  private static JsonNode withoutDefaults(JsonNode message) {
    if (message instanceof ObjectNode object) {
      object.properties().removeIf(each -> isDefault(object, each.getKey(), each.getValue()));
      for (String name : new String[] {"task", "progress", "error"}) {
        withoutDefaults(object.path(name));
      }
    }
    return message;
  }

  private static boolean isDefault(ObjectNode object, String name, JsonNode value) {
    return switch (name) {
      case "attributes" -> value.isEmpty();
      case "delivery" -> value.asInt() == 1;
      default -> value.isNull() && !object.path(name + "_type").isTextual();
    };
  }

  @TestFactory
  Stream<DynamicTest> otherFormsAreReadable() {
    return entries("also_readable")
        .map(
            each ->
                dynamicTest(
                    each.get("file").textValue(),
                    () -> {
                      JsonNode same =
                          entries("cases")
                              .filter(c -> c.get("name").equals(each.get("same_as")))
                              .findFirst()
                              .orElseThrow();
                      MessageCodec<Object> codec = codec(same.get("message").textValue());
                      assertEquals(
                          codec.decode(file(same.get("avro").textValue())),
                          codec.decode(file(each.get("file").textValue())));
                    }));
  }

  @TestFactory
  Stream<DynamicTest> whatIsNoMessageIsRefused() {
    return entries("unreadable")
        .map(
            each ->
                dynamicTest(
                    each.get("file").textValue(),
                    () ->
                        assertThrows(
                            UnreadableMessageException.class,
                            () ->
                                codec(each.get("message").textValue())
                                    .decode(file(each.get("file").textValue())))));
  }
}
