package kafkabridge.worker;

import java.util.Map;
import kafkabridge.protocol.Content;
import kafkabridge.protocol.ErrorType;
import kafkabridge.protocol.JobFailure;
import kafkabridge.protocol.JobState;

/**
 * What the last event of a delivery says.
 *
 * @param message null, or a line for a person
 * @param result of a success, or null
 * @param error of a failure
 */
record Report(
    JobState state,
    String message,
    Content result,
    JobFailure error,
    Map<String, String> attributes) {

  static Report succeeded(Content result) {
    return new Report(JobState.SUCCEEDED, null, result, null, Map.of());
  }

  static Report failed(JobFailure error) {
    return new Report(JobState.FAILED, null, null, error, Map.of());
  }

  static Report failed(String type, String message, boolean retryable) {
    return failed(new JobFailure(type, Texts.cut(message, Texts.ERROR_BYTES), null, retryable));
  }

  static Report cancelled(String reason) {
    return new Report(JobState.CANCELLED, reason, null, null, Map.of());
  }

  static Report deadlineExceeded(String message) {
    return failed(ErrorType.DEADLINE_EXCEEDED, message, true);
  }

  static Report released() {
    return new Report(JobState.RELEASED, "the worker returns the job", null, null, Map.of());
  }

  /** The same, of a job that was asked to stop and ended in another way. */
  Report stopRequested(String why) {
    return new Report(state, message, result, error, Map.of("stop_requested", why));
  }
}
