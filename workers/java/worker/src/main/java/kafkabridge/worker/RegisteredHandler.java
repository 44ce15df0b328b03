package kafkabridge.worker;

import com.fasterxml.jackson.databind.JavaType;

/**
 * The handler of a job type.
 *
 * @param payloadType what its payload is converted to
 */
record RegisteredHandler(JobHandler<Object, ?> handler, JavaType payloadType) {

  @SuppressWarnings("unchecked") // the payload is converted to the type that belongs to the handler
  static <P> RegisteredHandler of(JobHandler<P, ?> handler, JavaType payloadType) {
    return new RegisteredHandler((JobHandler<Object, ?>) handler, payloadType);
  }
}
