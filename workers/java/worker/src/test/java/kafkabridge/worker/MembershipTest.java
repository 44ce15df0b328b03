package kafkabridge.worker;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class MembershipTest {
  private static final long MILLISECOND = 1_000_000;

  private final AtomicLong now = new AtomicLong();
  private final Membership membership = new Membership(6_000, now::get);

  private void sleep(long milliseconds) {
    now.addAndGet(milliseconds * MILLISECOND);
  }

  @Test
  void aWorkerThatPollsIsSure() {
    for (int poll = 0; poll < 100; poll++) {
      sleep(100);
      membership.tick();
      assertTrue(membership.isSure());
    }
  }

  @Test
  void afterHalfASessionNothingIsPublishedEvenBeforeTheNextPoll() {
    sleep(3_001);
    assertFalse(membership.isSure());
  }

  @Test
  void aPollAfterAFreezeIsNoProof() {
    sleep(10_000);
    membership.tick();
    assertTrue(membership.isInDoubt());
    assertFalse(membership.isSure());
  }

  @Test
  void aCommitAfterTheFreezeIsAProof() {
    sleep(10_000);
    membership.tick();
    membership.confirmed(membership.doubt());
    assertTrue(membership.isSure());
  }

  @Test
  void aCommitFromBeforeTheFreezeIsNoProof() {
    long before = membership.doubt();
    sleep(10_000);
    membership.tick();
    membership.confirmed(before);
    assertFalse(membership.isSure());
  }
}
