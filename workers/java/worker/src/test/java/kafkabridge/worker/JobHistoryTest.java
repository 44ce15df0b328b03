package kafkabridge.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Instant;
import java.util.Map;
import kafkabridge.protocol.JobState;
import kafkabridge.protocol.StatusEvent;
import org.junit.jupiter.api.Test;

class JobHistoryTest {
  private static StatusEvent event(int delivery, long sequence, JobState state) {
    return new StatusEvent(
        "id",
        "e",
        delivery,
        sequence,
        state,
        Instant.EPOCH,
        "w",
        null,
        null,
        null,
        null,
        null,
        null,
        Map.of());
  }

  private static StatusEvent saved(int delivery, String checkpoint) {
    StatusEvent event = event(delivery, 0, JobState.RUNNING);
    return new StatusEvent(
        event.correlationId(),
        event.eventId(),
        delivery,
        0,
        event.state(),
        event.occurredAt(),
        event.workerId(),
        null,
        null,
        null,
        null,
        null,
        null,
        Map.of("checkpoint", checkpoint));
  }

  @Test
  void aCheckpointOutlivesAWorkerThatDoesNotKnowIt() {
    JobHistory history =
        of(
            saved(1, "1"),
            event(2, 0, JobState.ACCEPTED),
            saved(1, "2"),
            saved(2, "3".repeat(4_001)));
    assertEquals("1", history.checkpoint());
    assertEquals("null", history.with(saved(2, "null")).checkpoint());
  }

  private static JobHistory of(StatusEvent... events) {
    JobHistory history = JobHistory.NEW;
    for (StatusEvent event : events) {
      history = history.with(event);
    }
    return history;
  }

  @Test
  void theFirstTerminalEventWins() {
    JobHistory history = of(event(1, 0, JobState.SUCCEEDED), event(2, 0, JobState.ACCEPTED));
    assertTrue(history.isFinished());
  }

  @Test
  void aReleasedDeliveryIsNotInterrupted() {
    JobHistory history =
        of(
            event(1, 0, JobState.ACCEPTED),
            event(2, 0, JobState.ACCEPTED),
            event(2, 1, JobState.RELEASED));
    assertEquals(1, history.interrupted());
    assertFalse(history.isInterrupted());
    assertEquals(2, history.delivery());
  }

  @Test
  void anEventThatIsPublishedTwiceIsOneRelease() {
    StatusEvent released = event(2, 1, JobState.RELEASED);
    assertEquals(1, of(event(1, 0, JobState.ACCEPTED), released, released).interrupted());
  }

  @Test
  void aJobThatWasStartedAfterItsReleaseIsInterrupted() {
    JobHistory history =
        of(
            event(1, 0, JobState.ACCEPTED),
            event(1, 1, JobState.RELEASED),
            event(2, 0, JobState.ACCEPTED));
    assertTrue(history.isInterrupted());
  }

  @Test
  void aStateOfALaterVersionMeansThatTheWorkerLives() {
    JobHistory history = of(event(3, 7, JobState.UNKNOWN));
    assertFalse(history.isFinished());
    assertEquals(3, history.delivery());
    assertEquals(7, history.sequence());
  }
}
