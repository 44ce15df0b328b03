package kafkabridge.protocol;

/** How a value is written. */
public enum Encoding {
  /** Avro's single-object encoding. */
  AVRO("application/vnd.apache.avro"),
  /** A JSON object in UTF-8. */
  JSON("application/json");

  private final String contentType;

  Encoding(String contentType) {
    this.contentType = contentType;
  }

  /** The value of the header {@code content-type}. */
  public String contentType() {
    return contentType;
  }

  /**
   * Recognise the encoding of a value by its first bytes.
   *
   * @throws UnreadableMessageException it is none of them
   */
  public static Encoding of(byte[] value) throws UnreadableMessageException {
    if (AvroFormat.isHeader(value)) {
      return AVRO;
    }
    for (byte each : value) {
      if (each == '{') {
        return JSON;
      }
      if (each != ' ' && each != '\t' && each != '\r' && each != '\n') {
        break;
      }
    }
    if (value.length > 0 && value[0] == 0) {
      throw new UnreadableMessageException(
          "the value is in the encoding of a schema registry, which is not supported: use avro or"
              + " json");
    }
    throw new UnreadableMessageException("the value is neither Avro (C3 01) nor a JSON object");
  }
}
