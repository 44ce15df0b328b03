package kafkabridge.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import kafkabridge.protocol.JobFailure;
import org.junit.jupiter.api.Test;

class EndingTest {
  private static JobFailure failure(Throwable error) {
    return new Ending(null, error).report().error();
  }

  @Test
  void anInterruptThatWasWrappedIsAStop() {
    assertTrue(new Ending(null, new RuntimeException(new InterruptedException())).hasStopped());
    assertTrue(new Ending(null, new JobStoppedException(StopReason.CANCELLED)).hasStopped());
    assertFalse(new Ending(null, new IOException("disk full")).hasStopped());
    assertFalse(new Ending(null, null).hasStopped());
  }

  @Test
  void anErrorOfItsOwnIsKept() {
    JobFailure failure = failure(new JobFailedException("disk_full", "No space", false));
    assertEquals(new JobFailure("disk_full", "No space", null, false), failure);
  }

  @Test
  void anyExceptionIsAnErrorThatARetryMayHelp() {
    JobFailure failure = failure(new IOException("No space"));
    assertEquals("IOException", failure.type());
    assertEquals("No space", failure.message());
    assertTrue(failure.retryable());
    assertTrue(failure.details().contains("EndingTest"));
  }

  @Test
  void textsAreCutBetweenCharacters() {
    assertEquals("ab", Texts.cut("abé", 3));
    assertEquals("a?", Texts.cut("a\ud800", 10));
    assertNull(Texts.cut(null, 10));
  }

  @Test
  void textsFromKafkaAreOneLineInTheLog() {
    assertEquals("a?ERROR forged?[0m", Texts.line("a\nERROR forged\u001b[0m"));
  }
}
