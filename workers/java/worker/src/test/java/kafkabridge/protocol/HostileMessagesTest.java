package kafkabridge.protocol;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Arrays;
import java.util.Map;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.junit.jupiter.api.Test;

class HostileMessagesTest {
  private static final JobCommand COMMAND =
      new JobCommand("id", JobCommand.Command.CANCEL, null, Instant.EPOCH, Map.of());

  private static UnreadableMessageException refused(byte[] value) {
    return assertThrows(
        UnreadableMessageException.class, () -> MessageCodec.JOB_COMMAND.decode(value));
  }

  private static byte[] json(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static byte[] avro(long mapCount, long keyLength) throws Exception {
    byte[] valid = MessageCodec.JOB_COMMAND.encode(COMMAND, Encoding.AVRO);
    ByteArrayOutputStream value = new ByteArrayOutputStream();
    value.write(valid, 0, valid.length - 1); // without the empty map
    BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(value, null);
    encoder.writeLong(mapCount);
    encoder.writeLong(keyLength);
    return value.toByteArray();
  }

  @Test
  void lengthsAreNotBelieved() throws Exception {
    refused(avro(1, Integer.MAX_VALUE - 16));
    refused(avro(1, -8));
    refused(avro(Long.MAX_VALUE, 0));
    refused(avro(Long.MIN_VALUE, 0));
  }

  @Test
  void textThatIsNotUtf8IsRefused() throws Exception {
    byte[] value = MessageCodec.JOB_COMMAND.encode(COMMAND, Encoding.AVRO);
    value[11] = (byte) 0xFF; // the first letter of the id
    refused(value);
  }

  @Test
  void halfOfASurrogatePairIsRefused() {
    refused(json("{\"correlation_id\": \"\\ud800\", \"command\": \"CANCEL\", \"issued_at\": 1}"));
  }

  @Test
  void timesAreInTheYears1To9999() {
    refused(
        json(
            "{\"correlation_id\": \"id\", \"command\": \"CANCEL\", \"issued_at\": 253402300800000}"));
  }

  @Test
  void theEncodingOfARegistryIsNamed() {
    String message = refused(new byte[] {0, 0, 0, 0, 1, 2}).getMessage();
    assertEquals(true, message.contains("registry"), message);
  }

  @Test
  void anInvalidFieldBesideAnErrorDoesNotHideTheError() throws Exception {
    String event =
        "{\"correlation_id\": \"id\", \"event_id\": \"\", \"sequence\": -1, \"state\": \"FAILED\","
            + " \"occurred_at\": \"now\", \"worker_id\": \"w\", \"progress\": 5, \"delivery\": 2,"
            + " \"error\": {\"type\": \"\", \"message\": \"m\", \"retryable\": true}}";
    StatusEvent read = LedgerEvents.decode(json(event));
    assertEquals(JobState.FAILED, read.state());
    assertEquals(2, read.delivery());
    assertEquals("error", read.error().type());
  }

  @Test
  void anInvalidFieldWithoutAnErrorIsRefused() throws Exception {
    StatusEvent event =
        new StatusEvent(
            "id",
            "",
            1,
            0,
            JobState.SUCCEEDED,
            Instant.EPOCH,
            "w",
            null,
            null,
            null,
            null,
            null,
            null,
            Map.of());
    for (Encoding encoding : Encoding.values()) {
      byte[] value = MessageCodec.STATUS_EVENT.encode(event, encoding);
      assertThrows(UnreadableMessageException.class, () -> LedgerEvents.decode(value));
    }
  }

  @Test
  void eachPrefixOfAMessageIsRefused() throws Exception {
    byte[] value = MessageCodec.JOB_COMMAND.encode(COMMAND, Encoding.AVRO);
    for (int length = 0; length < value.length; length++) {
      refused(Arrays.copyOf(value, length));
    }
  }
}
