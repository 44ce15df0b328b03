package kafkabridge.protocol;

import java.util.Locale;

/** Which media types are JSON. */
final class MediaTypes {
  private MediaTypes() {}

  static boolean isJson(String mediaType) {
    int parameters = mediaType.indexOf(';');
    String type = parameters < 0 ? mediaType : mediaType.substring(0, parameters);
    String bare = type.strip().toLowerCase(Locale.ROOT);
    return bare.equals(Content.JSON) || bare.endsWith("+json");
  }
}
