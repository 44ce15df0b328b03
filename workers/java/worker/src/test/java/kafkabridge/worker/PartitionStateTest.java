package kafkabridge.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class PartitionStateTest {
  private final PartitionState state = new PartitionState(1);

  @Test
  void onlyOffsetsUpToTheOldestUnfinishedRequestAreCommitted() {
    state.add(5);
    state.add(6);
    state.add(8);
    assertEquals(5, state.committable());
    state.finish(6);
    assertEquals(5, state.committable());
    state.finish(5);
    assertEquals(8, state.committable());
    state.finish(8);
    assertEquals(9, state.committable());
  }

  @Test
  void whatWasCommittedIsNoNews() {
    state.add(5);
    assertTrue(state.hasNews());
    state.committed(5);
    assertFalse(state.hasNews());
  }

  @Test
  void nothingIsCommittedBeforeAPositionIsKnown() {
    assertFalse(state.hasNews());
  }

  @Test
  void aPartitionIsReadAtTheEndThatItHadFirst() {
    assertFalse(state.isRead());
    state.lag(10, 2);
    assertFalse(state.isRead());
    state.add(10);
    state.add(11);
    state.lag(12, 5); // more have come since
    assertTrue(state.isRead());
  }

  @Test
  void anEmptyPartitionIsRead() {
    state.lag(0, 0);
    assertTrue(state.isRead());
  }

  @Test
  void aFullPartitionCountsAsRead() {
    for (long offset = 0; offset < 500; offset++) {
      state.add(offset);
    }
    assertTrue(state.isFull());
    assertTrue(state.isRead());
    assertFalse(state.hasRoom());
  }
}
