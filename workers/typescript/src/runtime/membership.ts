/**
 * Whether a worker may publish events.
 *
 * While a process is stopped (SIGSTOP, a suspended machine) or its event loop is blocked, its group may
 * give its partitions to others. It cannot know that, and its events might contradict those of others.
 * The same holds while it does not reach the broker that coordinates the group.
 */

/** The group counts from the last heartbeat, which is older than the last poll: so half a session. */
const SURE_SHARE = 0.5;

/** Knows whether this worker is certainly a member of its group. */
export class Membership {
  readonly #sureFor: number;
  readonly #now: () => number;
  #polledAt: number;
  #inDoubt = false;
  #doubts = 0;

  /**
   * @param session after how many milliseconds without a heartbeat the group removes a member
   * @param now a clock that goes on while the process is stopped, in milliseconds
   */
  constructor(session: number, now: () => number = () => performance.now()) {
    this.#sureFor = session * SURE_SHARE;
    this.#now = now;
    this.#polledAt = now();
  }

  /** Tells whether events may be published now. */
  mayPublish(): boolean {
    return !this.#inDoubt && this.#now() - this.#polledAt <= this.#sureFor;
  }

  /** Notes that the group is being polled. After a long pause, the membership is in doubt. */
  aboutToPoll(): void {
    if (this.#now() - this.#polledAt > this.#sureFor) this.lostContact();
    this.#polledAt = this.#now();
  }

  /**
   * Notes that a broker is away. While it is, the group may give the partitions to others: a member
   * that is joining again is told so late.
   */
  lostContact(): void {
    this.#inDoubt = true;
    this.#doubts += 1;
  }

  /** The number of the present doubt; undefined if there is none. */
  get doubt(): number | undefined {
    return this.#inDoubt ? this.#doubts : undefined;
  }

  /** Notes that the group has accepted a commit that was sent in this doubt. */
  confirmed(doubt: number): void {
    if (doubt === this.#doubts) this.#inDoubt = false;
  }
}

/** Knows whether a job is this worker's, so that its events may be published. */
export class Ownership {
  /** Whether the group has not given the partition to another worker, as far as this one knows. */
  isOwned = true;

  constructor(readonly membership: Pick<Membership, "mayPublish">) {}

  /** Tells whether events of the job may be published now. */
  mayPublish(): boolean {
    return this.isOwned && this.membership.mayPublish();
  }
}
