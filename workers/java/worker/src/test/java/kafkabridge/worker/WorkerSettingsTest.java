package kafkabridge.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;

class WorkerSettingsTest {

  @Test
  void variablesBecomeSettings() {
    WorkerSettings settings =
        WorkerSettings.from(
                Map.of(
                    "KAFKA_BRIDGE_BOOTSTRAP_SERVERS", "kafka:9092",
                    "KAFKA_BRIDGE_GROUP_ID", "thumbnailers",
                    "KAFKA_BRIDGE_CONCURRENCY", "4",
                    "KAFKA_BRIDGE_GRACE_SECONDS", "1.5",
                    "KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS", "6000",
                    "PATH", "/bin"))
            .build();
    assertEquals("thumbnailers", settings.groupId());
    assertEquals(4, settings.concurrency());
    assertEquals(Duration.ofMillis(1_500), settings.grace());
    assertEquals(
        Map.of("bootstrap.servers", "kafka:9092", "session.timeout.ms", "6000"), settings.kafka());
    assertEquals("jobs.requests", settings.requestTopic());
  }

  @Test
  void whatIsMissingIsNamed() {
    String message =
        assertThrows(IllegalArgumentException.class, () -> WorkerSettings.builder().build())
            .getMessage();
    assertTrue(message.contains("groupId"), message);
  }

  @Test
  void aVariableThatIsNotANumberIsNamed() {
    String message =
        assertThrows(
                IllegalArgumentException.class,
                () -> WorkerSettings.from(Map.of("KAFKA_BRIDGE_CONCURRENCY", "many")))
            .getMessage();
    assertEquals("KAFKA_BRIDGE_CONCURRENCY must be a number, not many", message);
  }
}
