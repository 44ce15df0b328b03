package kafkabridge.worker;

import java.io.InterruptedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.util.concurrent.CancellationException;
import kafkabridge.protocol.Content;
import kafkabridge.protocol.JobFailure;

/**
 * How a handler ended.
 *
 * @param result of one that returned
 * @param error of one that threw
 */
record Ending(Content result, Throwable error) {

  /** Whether it ended because its thread was interrupted, or it had asked whether to stop. */
  boolean hasStopped() {
    for (Throwable each = error; each != null; each = each.getCause()) {
      if (each instanceof InterruptedException
          || each instanceof JobStoppedException
          || each instanceof CancellationException
          || each instanceof ClosedByInterruptException
          || each instanceof InterruptedIOException) {
        return true;
      }
      if (each.getCause() == each) {
        break;
      }
    }
    return false;
  }

  Report report() {
    return error == null ? Report.succeeded(result) : Report.failed(failure());
  }

  private JobFailure failure() {
    if (error instanceof JobFailedException failed) {
      return new JobFailure(
          Texts.cut(failed.type(), Texts.MESSAGE_BYTES),
          Texts.cut(failed.getMessage(), Texts.ERROR_BYTES),
          Texts.cut(failed.details(), Texts.DETAILS_BYTES),
          failed.isRetryable());
    }
    String name = error.getClass().getSimpleName();
    String message = error.getMessage() == null ? error.toString() : error.getMessage();
    return new JobFailure(
        name.isEmpty() ? "error" : name,
        Texts.cut(message, Texts.ERROR_BYTES),
        Texts.cut(Texts.stackTrace(error), Texts.DETAILS_BYTES),
        true);
  }
}
