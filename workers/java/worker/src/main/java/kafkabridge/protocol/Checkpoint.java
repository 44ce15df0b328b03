package kafkabridge.protocol;

import java.nio.charset.StandardCharsets;
import java.util.Map;

/** The checkpoint of a job in its events: an attribute with JSON text. */
public final class Checkpoint {
  /** How long the text may be, in UTF-8. */
  public static final int MOST_BYTES = 4_000;

  /** The text of a checkpoint that the handler has cleared. */
  public static final String CLEARED = "null";

  private static final String ATTRIBUTE = "checkpoint";

  private Checkpoint() {}

  /** The text in an event; null if it has none, or one too long. */
  public static String in(StatusEvent event) {
    String text = event.attributes().get(ATTRIBUTE);
    boolean isFit = text != null && text.getBytes(StandardCharsets.UTF_8).length <= MOST_BYTES;
    return isFit ? text : null;
  }

  /** The attributes of an event with a text, or without one if it is null. */
  public static Map<String, String> attributes(String text) {
    return text == null ? Map.of() : Map.of(ATTRIBUTE, text);
  }
}
