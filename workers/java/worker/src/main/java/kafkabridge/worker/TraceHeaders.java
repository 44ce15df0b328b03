package kafkabridge.worker;

import java.util.List;
import java.util.stream.Stream;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;

/** The headers of a request that all its events carry: those of W3C Trace Context. */
final class TraceHeaders {
  private static final String PARENT = "traceparent";
  private static final int MOST_PARENT_BYTES = 256;
  private static final String STATE = "tracestate";
  private static final int MOST_STATE_BYTES = 2_048;

  private TraceHeaders() {}

  static List<Header> of(Headers request) {
    Header parent = request.lastHeader(PARENT);
    if (!isUsable(parent, MOST_PARENT_BYTES)) {
      return List.of();
    }
    Header state = request.lastHeader(STATE);
    return Stream.of(parent, state)
        .filter(each -> each == parent || isUsable(each, MOST_STATE_BYTES))
        .toList();
  }

  private static boolean isUsable(Header header, int mostBytes) {
    return header != null && header.value() != null && header.value().length <= mostBytes;
  }
}
