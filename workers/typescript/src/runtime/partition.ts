/** One assignment of a partition, and which of its offsets may be committed. */

/**
 * Jobs finish in another order than they came. Only the offset up to which all are finished is
 * committed: after a crash Kafka delivers from there.
 */
export class Partition {
  /** In the order of the offsets. */
  readonly #unfinished = new Set<number>();
  #next: number | undefined;
  #committed: number | undefined;

  /** @param epoch numbers the assignments of this process */
  constructor(
    readonly number: number,
    readonly epoch: number,
  ) {}

  /** Notes that a record was consumed. */
  consume(offset: number): void {
    this.#unfinished.add(offset);
    this.#next = offset + 1;
  }

  /** Notes that nothing is left to do for a record. */
  finish(offset: number): void {
    this.#unfinished.delete(offset);
  }

  /** The offset to continue from after a crash; undefined if nothing was consumed. */
  get position(): number | undefined {
    const [first] = this.#unfinished;
    return first ?? this.#next;
  }

  /** The position, if another one was committed last. */
  get moved(): number | undefined {
    return this.position === this.#committed ? undefined : this.position;
  }

  /** Notes that a position was committed. */
  committed(offset: number): void {
    this.#committed = offset;
  }
}

/** Where a request is. */
export interface Spot {
  readonly partition: Partition;
  readonly offset: number;
}
