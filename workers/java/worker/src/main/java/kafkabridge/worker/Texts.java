package kafkabridge.worker;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/** Texts in events: valid Unicode, and not too long. */
final class Texts {
  static final int MESSAGE_BYTES = 2_000;
  static final int LINE_BYTES = 300;
  static final int ERROR_BYTES = 4_000;
  static final int DETAILS_BYTES = 32_000;

  private Texts() {}

  /** Cut a text to so many bytes of UTF-8; half of a surrogate pair becomes a question mark. */
  static String cut(String text, int mostBytes) {
    if (text == null) {
      return null;
    }
    ByteBuffer bytes = ByteBuffer.allocate(mostBytes);
    StandardCharsets.UTF_8
        .newEncoder()
        .onMalformedInput(CodingErrorAction.REPLACE)
        .encode(CharBuffer.wrap(text), bytes, true);
    return new String(bytes.array(), 0, bytes.position(), StandardCharsets.UTF_8);
  }

  /** A text from Kafka for the log: one line, not too long, without control characters. */
  static String line(String text) {
    return cut(text, LINE_BYTES).replaceAll("[\\p{Cntrl}\\u2028\\u2029\\u202a-\\u202e]", "?");
  }

  static String stackTrace(Throwable error) {
    StringWriter text = new StringWriter();
    error.printStackTrace(new PrintWriter(text));
    return text.toString();
  }
}
