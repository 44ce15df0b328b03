package kafkabridge.worker;

import java.nio.charset.StandardCharsets;
import java.util.regex.Pattern;

/** The key of a record as text. */
final class CorrelationId {
  private static final Pattern UUID =
      Pattern.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");

  private CorrelationId() {}

  static String of(byte[] key) {
    return new String(key, StandardCharsets.ISO_8859_1);
  }

  static boolean isValid(byte[] key) {
    return key != null && UUID.matcher(of(key)).matches();
  }
}
