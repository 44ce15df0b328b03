package kafkabridge.protocol;

import java.util.Arrays;
import java.util.Objects;

/**
 * Bytes and their media type: a payload or a result. The bytes are not copied, so do not change
 * them.
 *
 * @param mediaType such as {@code application/json}
 */
public record Content(byte[] bytes, String mediaType) {
  public static final String JSON = "application/json";
  public static final String BYTES = "application/octet-stream";

  public Content {
    Objects.requireNonNull(bytes, "bytes");
    Objects.requireNonNull(mediaType, "mediaType");
  }

  /** Whether the bytes are declared as JSON. */
  public boolean isJson() {
    return MediaTypes.isJson(mediaType);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Content content
        && Arrays.equals(bytes, content.bytes)
        && mediaType.equals(content.mediaType);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(bytes) + mediaType.hashCode();
  }

  @Override
  public String toString() {
    return bytes.length + " bytes of " + mediaType;
  }
}
