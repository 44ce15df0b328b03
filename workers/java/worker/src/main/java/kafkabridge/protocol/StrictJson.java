package kafkabridge.protocol;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/**
 * JSON as the protocol has it: UTF-8, one value, finite numbers, no half of a surrogate pair.
 * Integers are exact, however long they are.
 */
public final class StrictJson {
  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

  private StrictJson() {}

  /**
   * Read a JSON value.
   *
   * @throws UnreadableMessageException it is not JSON
   */
  public static JsonNode read(byte[] json) throws UnreadableMessageException {
    JsonNode value;
    try {
      value = MAPPER.readTree(text(ByteBuffer.wrap(json)));
    } catch (JsonProcessingException error) {
      throw new UnreadableMessageException("not JSON: " + error.getOriginalMessage(), error);
    }
    if (value.isMissingNode()) {
      throw new UnreadableMessageException("not JSON: there is nothing");
    }
    check(value);
    return value;
  }

  /** Write a JSON value in UTF-8. */
  public static byte[] write(JsonNode value) {
    try {
      return MAPPER.writeValueAsBytes(value);
    } catch (JsonProcessingException error) {
      throw new IllegalArgumentException(error);
    }
  }

  static String text(ByteBuffer utf8) throws UnreadableMessageException {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(utf8).toString();
    } catch (CharacterCodingException error) {
      throw new UnreadableMessageException("text is not UTF-8", error);
    }
  }

  private static void check(JsonNode value) throws UnreadableMessageException {
    if (value.isTextual()) {
      checkText(value.textValue());
    } else if (value.isDouble() && !Double.isFinite(value.doubleValue())) {
      throw new UnreadableMessageException("a number is too large for a double");
    } else if (value.isContainerNode()) {
      for (var field : value.properties()) {
        checkText(field.getKey());
      }
      for (JsonNode each : value) {
        check(each);
      }
    }
  }

  private static void checkText(String text) throws UnreadableMessageException {
    for (int at = 0; at < text.length(); at++) {
      char each = text.charAt(at);
      if (!Character.isSurrogate(each)) {
        continue;
      }
      boolean isPair =
          Character.isHighSurrogate(each)
              && at + 1 < text.length()
              && Character.isLowSurrogate(text.charAt(at + 1));
      if (!isPair) {
        throw new UnreadableMessageException("text has half of a surrogate pair");
      }
      at++;
    }
  }
}
