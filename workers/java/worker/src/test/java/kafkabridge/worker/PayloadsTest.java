package kafkabridge.worker;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import kafkabridge.protocol.Content;
import org.junit.jupiter.api.Test;

class PayloadsTest {
  record Thumbnails(int width, Boolean crop) {}

  private final ObjectMapper mapper = Payloads.defaultMapper();
  private final Payloads payloads = new Payloads(mapper);

  private static Content json(String text) {
    return new Content(text.getBytes(StandardCharsets.UTF_8), "application/json");
  }

  private Object read(Content content, Class<?> type) {
    return payloads.read(content, mapper.constructType(type));
  }

  private String invalid(Content content, Class<?> type) {
    JobFailedException error = assertThrows(JobFailedException.class, () -> read(content, type));
    assertEquals("invalid_payload", error.type());
    assertEquals(false, error.isRetryable());
    return error.getMessage();
  }

  @Test
  void aRecordIsFilled() {
    assertEquals(
        new Thumbnails(128, null), read(json("{\"width\": 128, \"later\": 1}"), Thumbnails.class));
  }

  @Test
  void theFieldOfAnErrorIsNamed() {
    assertTrue(invalid(json("{\"width\": \"wide\"}"), Thumbnails.class).startsWith("width: "));
  }

  @Test
  void aPrimitiveMustNotBeMissing() {
    invalid(json("{}"), Thumbnails.class);
  }

  @Test
  void whatIsNotJsonIsAnInvalidPayload() {
    for (Class<?> type : new Class<?>[] {Thumbnails.class, byte[].class, Content.class}) {
      invalid(json("{\"half\": "), type);
    }
    invalid(new Content(new byte[0], "image/png"), Thumbnails.class);
    invalid(null, Thumbnails.class);
  }

  @Test
  void bytesOfAnyTypeArrive() {
    byte[] bytes = {1, 2, 3};
    assertArrayEquals(bytes, (byte[]) read(new Content(bytes, "image/png"), byte[].class));
    assertNull(read(null, byte[].class));
    assertNull(read(json("5"), Void.class));
  }

  @Test
  void integersAreExact() {
    JsonNode value =
        (JsonNode) read(json("[9007199254740993, 18446744073709551616]"), JsonNode.class);
    assertEquals("[9007199254740993,18446744073709551616]", value.toString());
  }

  @Test
  void aResultIsJsonOrBytes() {
    assertEquals(json("{\"made\":2}"), payloads.write(Map.of("made", 2)));
    assertEquals("application/octet-stream", payloads.write(new byte[1]).mediaType());
    assertNull(payloads.write(null));
  }

  @Test
  void aCheckpointComesBack() {
    String text = payloads.writeCheckpoint(new Thumbnails(7, null));
    assertEquals(7, payloads.readCheckpoint(text, Thumbnails.class).width());
    for (String none : new String[] {null, payloads.writeCheckpoint(null), "{page"}) {
      assertNull(payloads.readCheckpoint(none, JsonNode.class));
    }
    assertThrows(
        IllegalArgumentException.class, () -> payloads.readCheckpoint("[]", Thumbnails.class));
  }

  @Test
  void aCheckpointThatCannotBeSavedIsAnError() {
    Map<String, Object> values =
        Map.of("too_large", "x".repeat(3_999), "not_serialisable", Double.NaN);
    values.forEach(
        (kind, value) -> {
          JobFailedException error =
              assertThrows(JobFailedException.class, () -> payloads.writeCheckpoint(value));
          assertEquals("checkpoint_" + kind, error.type());
        });
  }

  @Test
  void aResultThatIsNotJsonFailsTheJob() {
    for (Object result : new Object[] {Double.NaN, new Object(), json("{")}) {
      JobFailedException error =
          assertThrows(JobFailedException.class, () -> payloads.write(result));
      assertEquals("result_not_serialisable", error.type());
    }
  }
}
