package kafkabridge.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.Test;

class LedgerSnapshotTest {
  private static final Instant SINCE = Instant.parse("2026-03-01T00:00:00Z");

  private final LedgerSnapshot snapshot = new LedgerSnapshot(SINCE, 3, Set.of("asked"));

  @Test
  void aRequestIsCoveredIfItIsYoungerByTheClockSkew() {
    assertTrue(snapshot.covers("other", SINCE.plusSeconds(60), 3));
    assertFalse(snapshot.covers("other", SINCE.plusSeconds(59), 3));
    assertTrue(snapshot.covers("asked", SINCE.minusSeconds(1_000), 3));
  }

  @Test
  void aPartitionThatCameLaterIsNotCovered() {
    assertFalse(snapshot.covers("asked", SINCE.plusSeconds(100), 4));
  }

  @Test
  void whatIsNotAnEventIsPassedOver() {
    for (String text : new String[] {"", "garbage", "{}"}) {
      byte[] value = text.getBytes(StandardCharsets.UTF_8);
      snapshot.add(new ConsumerRecord<>("responses", 0, 0, value, value));
    }
    snapshot.add(new ConsumerRecord<>("responses", 0, 0, null, null));
    assertEquals(JobHistory.NEW, snapshot.of(""));
  }
}
