package kafkabridge.protocol;

import org.apache.avro.Schema;

/** Reads and writes the messages of one type, in either encoding. */
public final class MessageCodec<T> {
  public static final MessageCodec<JobRequest> JOB_REQUEST =
      new MessageCodec<>(Schemas.JOB_REQUEST, new JobRequestMapping());
  public static final MessageCodec<StatusEvent> STATUS_EVENT =
      new MessageCodec<>(Schemas.STATUS_EVENT, new StatusEventMapping());
  public static final MessageCodec<JobCommand> JOB_COMMAND =
      new MessageCodec<>(Schemas.JOB_COMMAND, new JobCommandMapping());

  private final AvroFormat avro;
  private final JsonFormat json;
  private final Mapping<T> mapping;

  private MessageCodec(Schema schema, Mapping<T> mapping) {
    this.avro = new AvroFormat(schema);
    this.json = new JsonFormat(schema);
    this.mapping = mapping;
  }

  /**
   * Read a message in the encoding that its first bytes tell.
   *
   * @throws UnreadableMessageException the bytes are not such a message
   */
  public T decode(byte[] value) throws UnreadableMessageException {
    return mapping.fromRecord(
        switch (Encoding.of(value)) {
          case AVRO -> avro.read(value);
          case JSON -> json.read(JsonFormat.object(value));
        });
  }

  /**
   * Write a message.
   *
   * @throws UnreadableMessageException it has content that is declared as JSON and is not
   */
  public byte[] encode(T message, Encoding encoding) throws UnreadableMessageException {
    var record = mapping.toRecord(message);
    return switch (encoding) {
      case AVRO -> avro.write(record);
      case JSON -> StrictJson.write(json.write(record));
    };
  }
}
