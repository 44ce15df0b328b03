package kafkabridge.worker;

/** What the jobs of a worker use. */
record Services(
    Assignment assignment,
    Ledger ledger,
    Cancellations cancellations,
    Publisher publisher,
    Delivery delivery,
    DeadLetters deadLetters,
    Heartbeats heartbeats,
    Membership membership,
    Mailbox mailbox) {}
