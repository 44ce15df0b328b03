package kafkabridge.protocol;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import org.apache.avro.Schema;

/** The schemas of the messages, from the files in the jar. */
final class Schemas {
  static final Schema JOB_REQUEST = load("job_request");
  static final Schema STATUS_EVENT = load("status_event");
  static final Schema JOB_COMMAND = load("job_command");

  private Schemas() {}

  private static Schema load(String name) {
    String path = "/kafka_bridge/schemas/" + name + ".avsc";
    try (InputStream file = Schemas.class.getResourceAsStream(path)) {
      return new Schema.Parser().parse(file);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** The schema beside null in a union, or the schema itself. */
  static Schema present(Schema schema) {
    return schema.isUnion() ? schema.getTypes().get(1) : schema;
  }
}
